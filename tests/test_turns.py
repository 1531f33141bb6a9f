"""Processes compile in turns: one compiles, others go on, come back, and do not wait for ever."""

import multiprocessing

import pytest

from crosscheck.engines import turns

pytest.importorskip("fcntl")


@pytest.fixture(autouse=True)
def shared(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def hold(folder, key, taken, until):
    """Another process that compiles a program until it is told to end."""
    import os
    import tempfile

    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.tempdir = folder

    def compile_it(_):
        taken.set()
        until.wait(60)

    turns.in_turn([key], (), compile_it)


@pytest.fixture
def other(tmp_path):
    context = multiprocessing.get_context("spawn")
    taken, until = context.Event(), context.Event()
    process = context.Process(target=hold, args=(str(tmp_path), "b", taken, until))
    process.start()
    assert taken.wait(60)
    yield until
    until.set()
    process.join()


def test_alone_all_run_in_order_and_what_is_compiled_comes_first():
    ran = []
    turns.in_turn("abcd", {"c"}, ran.append)
    assert ran == ["c", "a", "b", "d"]


def test_what_another_compiles_comes_last(other):
    ran = []

    def run(key):
        ran.append(key)
        if key == "c":
            other.set()

    turns.in_turn("abc", (), run)
    assert ran == ["a", "c", "b"]


def test_what_this_process_has_needs_no_turn(other):
    ran = []
    turns.in_turn("abc", {"b"}, ran.append)
    assert ran == ["b", "a", "c"]


def test_nobody_waits_for_ever(other, monkeypatch):
    monkeypatch.setattr(turns, "LONGEST_WAIT", 0.1)
    ran = []
    turns.in_turn("ab", (), ran.append)
    assert ran == ["a", "b"]


def test_a_turn_ends_with_an_error(tmp_path):
    def fail(key):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        turns.in_turn("a", (), fail)
    with turns._turn("a") as mine:
        assert mine
        with turns._turn("a") as again:
            assert not again


def test_without_a_shared_cache_or_a_place_for_locks_all_run(other, monkeypatch, tmp_path):
    def wait(seconds):
        raise AssertionError("nobody waits")

    monkeypatch.setattr(turns.time, "sleep", wait)
    ran = []
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    turns.in_turn("ab", (), ran.append)
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    turns.in_turn("ab", (), ran.append)
    assert ran == ["a", "b"] * 2


def test_a_child_does_not_keep_the_turn_of_its_parent():
    import os

    with turns._turn("a") as mine:
        assert mine
        ours, theirs = os.pipe()
        child = os.fork()
        if not child:
            os.close(theirs)
            os.read(ours, 1)  # until the parent has looked
            os._exit(0)
    with turns._turn("a") as again:
        os.close(theirs)
        os.waitpid(child, 0)
        assert again


def test_where_files_cannot_be_locked_nobody_waits(monkeypatch):
    def refuse(*_):
        raise OSError(37, "No locks available")

    def wait(seconds):
        raise AssertionError("nobody waits")

    monkeypatch.setattr(turns.fcntl, "flock", refuse)
    monkeypatch.setattr(turns.time, "sleep", wait)
    ran = []
    with pytest.raises(OSError, match="No locks"):
        turns.fcntl.flock(0, 0)
    turns.in_turn("ab", (), ran.append)
    assert ran == ["a", "b"]
