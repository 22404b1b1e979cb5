"""When the leader compacts unasked."""

from minik8s.store.autocompaction import AutoCompaction, Retention


def compactions(retention: Retention, *, hours: float, revisions_per_s: int = 1, step_s: float = 0.5):
    auto = AutoCompaction(retention, now_s=0.0)
    found = []
    for step in range(int(hours * 3600 / step_s)):
        now_s = step * step_s
        if revision := auto.due(now_s, 1 + int(now_s * revisions_per_s)):
            found.append((now_s, revision))
    return found


def test_a_period_of_history_stays_and_no_more_than_a_tenth_above_it():
    found = compactions(Retention("periodic", 600), hours=2)
    assert len(found) >= 10
    for now_s, revision in found:
        assert 599 <= now_s - revision <= 661


def test_a_long_period_is_compacted_every_hour():
    found = compactions(Retention("periodic", 3 * 3600), hours=6, step_s=10)
    assert [round(now_s / 3600) for now_s, _ in found] == [3, 4, 5]
    assert all(3 * 3600 - 1 <= now_s - revision <= 3 * 3600 + 370 for now_s, revision in found)


def test_a_number_of_revisions_stays():
    found = compactions(Retention("revision", 1000), hours=1, revisions_per_s=5)
    assert found[:2] == [(300.0, 501), (600.0, 2001)]
    assert len(found) == 11


def test_little_history_is_not_compacted():
    assert compactions(Retention("revision", 10_000_000), hours=1) == []
