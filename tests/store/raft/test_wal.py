"""The log on disk: what crashes leave is read back, what they cannot leave is refused."""

import resource
import signal

import pytest

from minik8s.kit.run import StartError
from minik8s.store.raft.errors import LogCorrupt, LogWriteFailed
from minik8s.store.raft.journal import Journal, State
from minik8s.store.raft.wal import Segments


def segments(path, *, member="a", segment_bytes=1 << 20):
    return Segments(path / "wal", member=member, segment_bytes=segment_bytes)


def write(path, groups, **options):
    """A log with an entry per element of each group; its files are closed as by a clean stop."""
    disk = segments(path, **options)
    journal = Journal(disk.open())
    for group in groups:
        for command in group:
            journal.add(command, journal.last_index + 1, max(1, journal.getCurrentTerm()))
        append(disk, journal)
    disk.close()


def append(disk, journal):
    disk.append(journal.take(), journal.state_records(), journal.last_index)
    journal.synced()


def read(path, **options):
    disk = segments(path, **options)
    try:
        return disk.open()
    finally:
        disk.close()


def commands(state):
    return [command for command, _, _ in state.entries]


def files(path):
    return sorted((path / "wal").glob("*.wal"))


def test_a_segment_begins_with_the_state_before_its_first_group(tmp_path):
    """Found by simulation: the commit index that a group brings stood before the truncation within the same group."""
    disk = segments(tmp_path, segment_bytes=100)
    journal = Journal(disk.open())
    journal.setCurrentTerm(1, None)
    journal.add(b"x" * 100, 1, 1)
    append(disk, journal)
    journal.add(b"lost", 2, 1)
    journal.setCurrentTerm(2, None)
    journal.add(b"kept", 2, 2)
    journal.setRaftCommitIndex(2)
    append(disk, journal)
    disk.close()
    assert len(files(tmp_path)) == 2
    state = read(tmp_path, segment_bytes=100)
    assert (commands(state), state.term, state.commit_index) == ([b"x" * 100, b"kept"], 2, 2)


def test_what_was_written_is_read_back(tmp_path):
    disk = segments(tmp_path)
    journal = Journal(disk.open())
    journal.add(b"one", 1, 1)
    journal.setCurrentTerm(3, "b")
    append(disk, journal)
    journal.add(b"two", 2, 3)
    journal.setRaftCommitIndex(2)
    append(disk, journal)
    disk.close()
    state = read(tmp_path)
    assert state.entries == [(b"one", 1, 1), (b"two", 2, 3)]
    assert (state.term, state.vote, state.commit_index) == (3, "b", 2)


def test_a_truncation_at_a_conflict_is_read_back(tmp_path):
    disk = segments(tmp_path)
    journal = Journal(disk.open())
    for index in (1, 2, 3):
        journal.add(b"old%d" % index, index, 1)
    append(disk, journal)
    assert journal.durable_index == 3
    journal.add(b"new", 2, 2)
    assert (journal.durable_index, journal.last_index) == (1, 2)
    append(disk, journal)
    disk.close()
    assert commands(read(tmp_path)) == [b"old1", b"new"]


def test_segments_follow_one_another(tmp_path):
    write(tmp_path, [[b"x" * 300] for _ in range(20)], segment_bytes=1000)
    assert len(files(tmp_path)) > 4
    assert len(read(tmp_path).entries) == 20
    write(tmp_path, [[b"y"]], segment_bytes=1000)
    assert len(read(tmp_path).entries) == 21


def test_every_length_a_crash_can_leave_of_the_last_frame_is_cut_off(tmp_path):
    write(tmp_path, [[b"one"], [b"two"], [b"three" * 10]])
    path = files(tmp_path)[0]
    whole = path.read_bytes()
    write(tmp_path / "before", [[b"one"], [b"two"]])
    good = len(files(tmp_path / "before")[0].read_bytes())
    for size in range(good, len(whole)):
        path.write_bytes(whole[:size])
        assert commands(read(tmp_path)) == [b"one", b"two"], size
        assert path.stat().st_size == good


def test_zeroed_sectors_at_the_end_are_a_torn_tail(tmp_path):
    write(tmp_path, [[b"one"], [b"x" * 2000]])
    path = files(tmp_path)[0]
    data = path.read_bytes()
    path.write_bytes(data[:1024] + bytes(len(data) - 1024))
    assert commands(read(tmp_path)) == [b"one"]
    path.write_bytes(path.read_bytes() + bytes(4096))
    assert commands(read(tmp_path)) == [b"one"]


def test_any_flipped_bit_refuses_to_start_and_says_where(tmp_path):
    write(tmp_path, [[b"one"], [b"two"], [b"three"]])
    path = files(tmp_path)[0]
    whole = path.read_bytes()
    for offset in range(len(whole)):
        path.write_bytes(whole[:offset] + bytes([whole[offset] ^ 0x10]) + whole[offset + 1 :])
        with pytest.raises(LogCorrupt, match=f"{path.name}: corrupt at byte") as caught:
            read(tmp_path)
        assert caught.value.offset <= offset
    path.write_bytes(whole)
    assert len(read(tmp_path).entries) == 3


@pytest.mark.parametrize("damage", ["cut", "remove", "zero"])
def test_damage_before_the_last_segment_refuses_to_start(tmp_path, damage):
    write(tmp_path, [[b"x" * 300] for _ in range(20)], segment_bytes=1000)
    path = files(tmp_path)[1]
    match damage:
        case "cut":
            path.write_bytes(path.read_bytes()[:-5])
        case "remove":
            path.unlink()
        case "zero":
            path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(LogCorrupt):
        read(tmp_path)


def test_a_crash_while_a_segment_was_started_loses_nothing(tmp_path):
    write(tmp_path, [[b"one"]])
    directory = files(tmp_path)[0].parent
    (directory / f"{2:016x}.wal").write_bytes(b"")
    assert commands(read(tmp_path)) == [b"one"]
    write(tmp_path, [[b"two"]])
    assert commands(read(tmp_path)) == [b"one", b"two"]


def test_a_second_process_is_refused_while_the_first_runs(tmp_path):
    disk = segments(tmp_path)
    disk.open()
    with pytest.raises(StartError, match="in use by another process"):
        segments(tmp_path).open()
    disk.close()
    read(tmp_path)


def test_another_members_directory_is_refused(tmp_path):
    write(tmp_path, [[b"one"]])
    with pytest.raises(StartError, match="belongs to member 'a', not to 'b'"):
        read(tmp_path, member="b")


def test_a_directory_that_cannot_be_made_is_a_start_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match="cannot use the data directory"):
        Segments(tmp_path / "file" / "wal", member="a", segment_bytes=1).open()


def test_a_failed_write_says_so_and_what_was_acknowledged_is_there_after(tmp_path):
    disk = segments(tmp_path)
    journal = Journal(disk.open())
    journal.add(b"one", 1, 1)
    append(disk, journal)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (files(tmp_path)[0].stat().st_size + 50, limits[1]))
    try:
        journal.add(b"x" * 1000, 2, 1)
        with pytest.raises(LogWriteFailed, match=r"cannot write the log in .*: File too large"):
            append(disk, journal)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, old)
    disk.close()
    assert commands(read(tmp_path)) == [b"one"]


def test_files_are_for_their_owner_only(tmp_path):
    write(tmp_path, [[b"one"]])
    assert files(tmp_path)[0].stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "wal").stat().st_mode & 0o777 == 0o700


def test_a_commit_index_beyond_the_log_is_not_believed():
    journal = Journal(State(entries=[(b"one", 1, 1)], commit_index=9))
    assert journal.getRaftCommitIndex() == 1
