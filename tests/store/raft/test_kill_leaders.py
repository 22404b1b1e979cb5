"""SIGKILL to leader after leader with 200 writes in flight: nothing acknowledged is lost, and writes go on soon."""

import pytest

from store.raft.kill_leaders import kill_leaders


@pytest.mark.slow
def test_killed_leaders_lose_nothing_and_are_replaced_within_two_seconds(tmp_path):
    report = kill_leaders(tmp_path, kills=4)
    assert (report.lost, report.repeated, report.misplaced, report.are_equal) == (0, 0, 0, True), report
    assert report.acknowledged > 1000
    assert max(report.gaps_s) < 2, report
