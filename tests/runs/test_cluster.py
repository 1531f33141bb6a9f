"""Spans on a real Dask scheduler and two workers on loopback, one of them killed in the middle."""

import os
import time

import pandas as pd
import pytest
from support import clusters

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


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """(address, processes of two workers) of a cluster on loopback."""
    soon = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "10 s"}
    with clusters.cluster(tmp_path_factory.mktemp("there"), 2, **soon) as address_and_workers:
        yield address_and_workers


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
