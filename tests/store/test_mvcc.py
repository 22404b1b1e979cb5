"""Keys, revisions, history and compaction."""

import random

import pytest

from minik8s.store.errors import COMPACTED, FUTURE_REVISION, EtcdError
from minik8s.store.mvcc import FROM_KEY, Mvcc, in_range


def written(*changes: tuple[str, str | None]) -> Mvcc:
    """Each (key, value) is one revision from 2 on; the value None deletes."""
    mvcc = Mvcc()
    for key, value in changes:
        if value is None:
            mvcc.delete(key.encode())
        else:
            mvcc.put(key.encode(), value.encode(), 0)
        mvcc.commit()
    return mvcc


def values(mvcc: Mvcc, revision: int = 0) -> dict[str, str]:
    records, _ = mvcc.range(FROM_KEY, FROM_KEY, revision=revision)
    return {record.key.decode(): record.value.decode() for record in records}


def test_an_empty_store_is_at_revision_one():
    assert Mvcc().revision == 1
    assert not Mvcc().commit()


def test_a_record_counts_its_versions_from_its_creation():
    mvcc = written(("a", "1"), ("a", "2"), ("a", None), ("a", "3"), ("a", "4"))
    record = mvcc.get(b"a")
    assert (record.create_revision, record.mod_revision, record.version) == (5, 6, 2)
    assert record.value == b"4"


def test_changes_of_one_commit_share_a_revision_and_keep_their_order():
    mvcc = Mvcc()
    mvcc.put(b"b", b"1", 0)
    mvcc.put(b"a", b"1", 0)
    assert mvcc.read_revision == 2
    assert mvcc.commit()
    assert [record.key for record in mvcc.batch(2)] == [b"b", b"a"]


def test_every_past_revision_can_be_read():
    mvcc = written(("a", "1"), ("b", "1"), ("a", "2"), ("b", None))
    assert [values(mvcc, revision) for revision in range(1, 6)] == [
        {},
        {"a": "1"},
        {"a": "1", "b": "1"},
        {"a": "2", "b": "1"},
        {"a": "2"},
    ]


@pytest.mark.parametrize(
    ("key", "end", "expected"),
    [
        (b"b", b"", [b"b"]),
        (b"x", b"", []),
        (b"a", b"c", [b"a", b"b", b"b\0"]),
        (b"b", FROM_KEY, [b"b", b"b\0", b"c"]),
        (FROM_KEY, FROM_KEY, [b"a", b"b", b"b\0", b"c"]),
        (b"c", b"a", []),
        (b"b", b"b", []),
    ],
)
def test_a_selector_selects(key, end, expected):
    mvcc = written(("a", "1"), ("b", "1"), ("b\0", "1"), ("c", "1"), ("d", "1"), ("d", None), ("c", "2"))
    for revision in (0, 7):
        records, count = mvcc.range(key, end, revision=revision)
        assert [record.key for record in records] == expected
        assert count == mvcc.count(key, end, revision=revision) == len(expected)
    assert [record.key for record in mvcc.range(FROM_KEY, FROM_KEY)[0] if in_range(record.key, key, end)] == expected


def test_a_limit_cuts_the_records_but_not_the_count():
    mvcc = written(("a", "1"), ("b", "1"), ("c", "1"), ("c", "2"))
    for revision in (0, 4):
        records, count = mvcc.range(b"a", FROM_KEY, revision=revision, limit=2)
        assert ([record.key for record in records], count) == ([b"a", b"b"], 3)


def test_compaction_keeps_what_reads_from_its_revision_on_can_see():
    changes = (("a", "1"), ("b", "1"), ("a", "2"), ("b", None), ("c", "1"), ("a", "3"), ("c", None))
    for compacted in range(1, 9):
        plain, mvcc = written(*changes), written(*changes)
        mvcc.compact(compacted)
        for revision in range(compacted, 9):
            assert values(mvcc, revision) == values(plain, revision), (compacted, revision)
            assert mvcc.batch(revision) == plain.batch(revision), "events from the compact revision on are kept"
        for revision in range(1, compacted):
            with pytest.raises(EtcdError) as caught:
                mvcc.range(b"a", b"", revision=revision)
            assert caught.value.fault == COMPACTED


def test_compaction_forgets_the_rest():
    mvcc = written(("a", "1"), ("a", "2"), ("a", None), ("b", "1"))
    mvcc.compact(4)
    assert mvcc.batch(4)[0].key == b"a", "a tombstone at the compact revision stays for watches that start there"
    mvcc.compact(5)
    only = written(("b", "1"))
    assert mvcc.size_bytes == only.size_bytes


@pytest.mark.parametrize(("revision", "fault"), [(-1, COMPACTED), (3, COMPACTED), (2, COMPACTED), (6, FUTURE_REVISION)])
def test_compaction_refuses_revisions_done_or_yet_to_come(revision, fault):
    mvcc = written(("a", "1"), ("a", "2"), ("a", "3"))
    mvcc.compact(3)
    with pytest.raises(EtcdError) as caught:
        mvcc.compact(revision)
    assert caught.value.fault == fault


def test_compaction_at_zero_is_allowed_once():
    mvcc = written(("a", "1"))
    mvcc.compact(0)
    assert values(mvcc, 1) == {}
    with pytest.raises(EtcdError):
        mvcc.compact(0)


def test_equal_histories_have_equal_hashes_and_unequal_ones_do_not():
    changes = [("a", "1"), ("b", "1"), ("a", "2"), ("b", None)]
    first, second = written(*changes), written(*changes)
    assert first.hash_kv() == second.hash_kv()
    assert first.hash_kv(3) == second.hash_kv(3) != first.hash_kv(4)
    first.compact(4)
    second.compact(4)
    assert first.hash_kv() == second.hash_kv()
    assert written(("a", "1")).hash_kv() != written(("a", "2")).hash_kv()


@pytest.mark.parametrize("seed", range(5))
def test_random_histories_read_as_a_list_of_dicts(seed):
    rng = random.Random(seed)
    mvcc, model = Mvcc(), [{}, {}]
    compacted = 0
    for _ in range(300):
        state = dict(model[-1])
        for key in rng.sample("abcdef", rng.choice([1, 1, 2])):
            if key in state and rng.random() < 0.4:
                del state[key]
                mvcc.delete(key.encode())
            else:
                state[key] = str(rng.random())
                mvcc.put(key.encode(), state[key].encode(), 0)
        mvcc.commit()
        model.append(state)
        if rng.random() < 0.05:
            revision = rng.randint(max(compacted, 1), mvcc.revision)
            if revision > compacted:
                mvcc.compact(revision)
                compacted = revision
    assert mvcc.revision == len(model) - 1
    for revision in range(max(compacted, 1), len(model)):
        assert values(mvcc, revision) == model[revision]
    assert mvcc.key_count == len(model[-1])
