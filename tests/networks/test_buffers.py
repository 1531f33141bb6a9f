"""Memory is used again where nobody sees it, and nowhere else."""

import threading

import numpy as np
import pytest

from crosscheck.networks import buffers
from crosscheck.networks.buffers import Kept

LARGE = (buffers.LEAST_KEPT // 8,)


@pytest.fixture
def kept():
    return Kept()


def address(array):
    return array.__array_interface__["data"][0]


def test_memory_that_nobody_sees_is_used_again(kept):
    first = address(kept.empty(LARGE))
    assert address(kept.empty(LARGE)) == first


WAYS = {
    "the array": lambda array: array,
    "a view": lambda array: array[3:].reshape(-1, 1),
    "a view of a view": lambda array: array[1:][::2],
    "a buffer": memoryview,
    "in a list": lambda array: [array],
    "in a closure": lambda array: lambda: array,
}


@pytest.mark.parametrize("way", WAYS)
def test_memory_that_somebody_sees_is_not(kept, way):
    array = kept.empty(LARGE)
    first = address(array)
    seen = WAYS[way](array)
    del array
    assert address(kept.empty(LARGE)) != first
    del seen
    both = [kept.empty(LARGE), kept.empty(LARGE)]
    assert first in map(address, both)


def test_other_shapes_and_dtypes_have_their_own(kept):
    first = address(kept.empty(LARGE))
    assert address(kept.empty((LARGE[0] // 2, 2))) != first
    assert address(kept.empty((2 * LARGE[0],), np.float32)) != first
    assert address(kept.empty(LARGE)) == first


def test_small_and_huge_arrays_are_not_kept(kept, monkeypatch):
    kept.empty((LARGE[0] - 1,))
    monkeypatch.setattr(buffers, "MOST_KEPT", 3 * buffers.LEAST_KEPT)
    kept.empty((4 * LARGE[0],))
    assert not kept._arrays
    held = [kept.empty(LARGE) for _ in range(5)]
    assert len(kept._arrays) == 3
    assert len({address(one) for one in held}) == 5


def test_rooms_are_apart_and_only_for_large_arrays(kept):
    assert kept.rooms(3, (4, 5)) == (None,) * 3
    rooms = kept.rooms(3, LARGE)
    assert len({address(room) for room in rooms}) == 3


def test_threads_see_none_of_each_other(kept):
    mine = address(kept.empty(LARGE))
    found = []
    thread = threading.Thread(target=lambda: found.append(address(kept.empty(LARGE))))
    thread.start()
    thread.join()
    assert found != [mine]


def test_where_references_are_not_counted_nothing_is_kept(kept, monkeypatch):
    monkeypatch.setattr(buffers, "COUNTS", False)
    kept.empty(LARGE)
    assert not kept._arrays


def test_what_interrupts_and_asks_for_memory_gets_its_own(kept, monkeypatch):
    """As a signal's handler or a destructor may, at the worst moment: between count and taking."""
    kept.empty(LARGE)
    counted, seen = buffers.references, []

    def interrupted(arrays, place):
        found = counted(arrays, place)
        seen.append(kept.empty(LARGE))
        return found

    monkeypatch.setattr(buffers, "references", interrupted)
    mine = kept.empty(LARGE)
    assert seen
    assert address(mine) not in map(address, seen)
