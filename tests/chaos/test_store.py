"""A short run of scripts/chaos with every fault; long ones are run by hand."""

import asyncio

import pytest

from chaos.store import run


@pytest.mark.slow
def test_a_store_that_is_killed_stopped_and_cut_off_keeps_its_promises(tmp_path):
    outcome = asyncio.run(run(tmp_path, tmp_path / "history.jsonl", seconds=15, seed=7, episode_s=4))
    assert outcome.report.is_good, outcome.report.violations
    assert outcome.report.acked > 100 and outcome.faults.kills
    assert set(outcome.as_json()) == {"acked", "lost", "violations", "linearizable", "kills", "failover_s", "seed"}
