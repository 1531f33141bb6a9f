"""Spans on a real Dask scheduler and two workers on loopback, one of them killed in the middle."""

import os
import re
import subprocess
import sys
import threading
import time

import pandas as pd
import pytest

pytest.importorskip("distributed")

from crosscheck.cli import main
from crosscheck.networks.distribution import Distribution
from crosscheck.results import journal
from crosscheck.runs.plan import Plan, Span, blocks
from crosscheck.runs.processes.pool import Limits
from crosscheck.runs.spread.cluster import Cluster

OF = Distribution((2, 4), (1, 6), (1, 6))
PLAN = Plan(("paper-contracted",), ("float32",), 240, 0, OF)
LIMITS = Limits(1, 60)


def started(*words):
    environment = {**os.environ, "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "10 s"}
    return subprocess.Popen(
        [sys.executable, "-m", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


@pytest.fixture(scope="module")
def cluster():
    """(address, processes of two workers) of a cluster on loopback."""
    scheduler = started(
        "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"
    )
    address = None
    for line in scheduler.stderr:
        if found := re.search(r"tcp://127\.0\.0\.1:\d+", line):
            address = found.group()
            break
    workers = [
        started("distributed.cli.dask_worker", address, "--nthreads", "1", "--no-dashboard")
        for _ in range(2)
    ]
    drained = [threading.Thread(target=p.stderr.read, daemon=True) for p in (scheduler, *workers)]
    for one in drained:
        one.start()
    yield address, workers
    for process in (*workers, scheduler):
        process.kill()
        process.wait()


def rows_of(parts):
    tables = [parts[span]["errors"].to_pandas() for span in sorted(parts)]
    return pd.concat(tables).to_csv(index=False)


def here():
    """The same plan in this machine's pool."""
    from crosscheck.runs.processes.pool import Pool

    with Pool(PLAN, LIMITS) as pool:
        found = pool.results([PLAN.whole])
        return rows_of({span: journal.decode(content, "part") for span, content in found})


def test_the_rows_are_the_same_though_a_worker_is_killed(cluster):
    address, workers = cluster
    parts = {}
    with Cluster(PLAN, LIMITS, address) as source:
        deadline = time.monotonic() + 60
        while len(source.client.nthreads()) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(source.client.nthreads()) == 2
        for span, content in source.results(blocks([PLAN.whole], 8)):
            parts[span] = journal.decode(content, "part")
            if len(parts) == 3:
                workers[0].kill()
    assert sorted(i for span in parts for i in range(*span)) == list(range(PLAN.cases))
    assert sum(span.size for span in parts) == PLAN.cases
    assert rows_of(parts) == here()


def test_no_scheduler_is_a_sentence(tmp_path, capsys):
    words = ["run", "--cases", "1", "--dask", "tcp://127.0.0.1:1", "--out", str(tmp_path / "run")]
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2
    err = capsys.readouterr().err
    assert "no Dask scheduler answers at tcp://127.0.0.1:1" in err
    assert not os.listdir(tmp_path)


def test_spans_come_back_in_pieces_of_themselves():
    assert list(blocks([Span(0, 5)], 2)) == [Span(0, 2), Span(2, 4), Span(4, 5)]
