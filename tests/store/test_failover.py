"""Leaders killed under load: see kill_leaders.py."""

import asyncio

import pytest

from store.kill_leaders import kill_leaders

pytestmark = pytest.mark.slow


def test_killing_leaders_loses_no_acknowledged_write_and_no_watched_event(tmp_path):
    outcome = asyncio.run(kill_leaders(tmp_path, kills=4))
    assert outcome.faults == []
    assert outcome.in_flight_least >= 200
    assert max(outcome.gaps_s) < 2, outcome
    assert len(outcome.acknowledged) > 1000
