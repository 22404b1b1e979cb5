"""Real members, each a process with writers on it; the leader is killed with SIGKILL again and again.

Then everything acknowledged must be in every member's log exactly once, at the place it was acknowledged for.
`python tests/store/raft/kill_leaders.py --kills 20 --runs 1` from the repository runs more of it than the test does.
"""

import argparse
import collections
import contextlib
import json
import pathlib
import selectors
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from minik8s.kit import tls
from store.raft.members import free_ports

NAMES = ("a", "b", "c")


@dataclass
class Report:
    """What a run cost."""

    acknowledged: int = 0
    failed: int = 0
    lost: int = 0
    repeated: int = 0
    misplaced: int = 0
    are_equal: bool = True
    installs: int = 0
    gaps_s: list[float] = field(default_factory=list)
    """After each kill, until the next acknowledgement anywhere."""

    def __str__(self) -> str:
        return (
            f"acknowledged {self.acknowledged}, failed {self.failed}, lost {self.lost}, repeated {self.repeated}, "
            f"misplaced {self.misplaced}, equal {self.are_equal}, "
            f"installs {self.installs}, gaps median {statistics.median(self.gaps_s):.3f} s, "
            f"longest {max(self.gaps_s):.3f} s"
        )


class Harness:
    """Three processes and what they print."""

    def __init__(self, directory: pathlib.Path, writers: int) -> None:
        self.directory = directory
        self.writers = writers
        # Before the members start: they would each make one.
        tls.Authority(directory / "ca")
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.leader: tuple[int, str] = (0, "")
        self.quiet: set[str] = set()
        self.restored = 0
        self._selector = selectors.DefaultSelector()
        peers = {name: ("127.0.0.1", port) for name, port in zip(NAMES, free_ports(3), strict=True)}
        (directory / "peers.json").write_text(json.dumps(peers))

    def start(self, name: str) -> None:
        script = pathlib.Path(__file__).with_name("member_process.py")
        with (self.directory / f"log-{name}").open("ab") as errors:
            self.processes[name] = subprocess.Popen(
                [sys.executable, str(script), str(self.directory), name, str(self.writers)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        self._selector.register(self.processes[name].stdout, selectors.EVENT_READ, name)

    def kill(self, name: str) -> None:
        process = self.processes.pop(name)
        self._selector.unregister(process.stdout)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdin.close()
        process.stdout.close()

    def listen(self, done, timeout_s: float) -> None:
        """Read what the processes print until `done()`."""
        deadline_s = time.monotonic() + timeout_s
        while not done():
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                logs = "".join((self.directory / f"log-{name}").read_text()[-1500:] for name in NAMES)
                raise TimeoutError(f"waited {timeout_s} s\n{logs}")
            for key, _ in self._selector.select(min(left_s, 0.1)):
                words = key.fileobj.readline().split()
                if not words:
                    raise RuntimeError(f"{key.data} ended: {(self.directory / f'log-{key.data}').read_text()[-3000:]}")
                if words[0] == b"leads":
                    self.leader = max(self.leader, (int(words[1]), key.data))
                elif words[0] == b"restored":
                    self.restored += 1
                elif words[0] == b"quiet":
                    self.quiet.add(key.data)

    def close(self) -> None:
        for name in list(self.processes):
            self.kill(name)
        self._selector.close()


def kill_leaders(directory: pathlib.Path, *, kills: int, writers: int = 70, pause_s: float = 1.5) -> Report:
    """Run the story in an empty directory."""
    harness = Harness(directory, writers)
    killed_at_s = []
    with contextlib.closing(harness):
        for name in NAMES:
            harness.start(name)
        harness.listen(lambda: harness.leader[0], 20)
        time.sleep(0.5)
        for _ in range(kills):
            term, victim = harness.leader
            killed_at_s.append(time.monotonic())
            harness.kill(victim)
            harness.listen(lambda term=term: harness.leader[0] > term, 20)
            time.sleep(pause_s / 3)
            harness.start(victim)
            time.sleep(2 * pause_s / 3)
            # Somebody may have been elected meanwhile.
            harness.listen(lambda: harness.leader[1] in harness.processes, 20)
            with contextlib.suppress(TimeoutError):
                harness.listen(lambda: False, 0.01)
        for process in harness.processes.values():
            process.stdin.write(b"quiet\n")
            process.stdin.flush()
        harness.listen(lambda: len(harness.quiet) == len(NAMES), 30)
    report = examine(directory, killed_at_s)
    report.installs = harness.restored
    return report


def examine(directory: pathlib.Path, killed_at_s: list[float]) -> Report:
    """Compare what writers were told with what members applied."""
    report = Report()
    ledgers = [(directory / f"ledger-{name}").read_bytes().split(b"\n") for name in NAMES]
    report.are_equal = all(ledger == ledgers[0] for ledger in ledgers)
    counts = collections.Counter(ledgers[0])
    report.repeated = sum(count > 1 for count in counts.values())
    times_s = []
    for name in NAMES:
        for line in (directory / f"acks-{name}").read_bytes().splitlines():
            place, at_s, command, *_ = line.split()
            if place == b"!":
                report.failed += 1
                continue
            report.acknowledged += 1
            times_s.append(float(at_s))
            report.lost += command not in counts
            report.misplaced += ledgers[0][int(place) - 1 : int(place)] != [command]
    times_s.sort()
    for at_s in killed_at_s:
        # What was acknowledged within the first milliseconds was under way already.
        report.gaps_s.append(_longest_gap(times_s, at_s, at_s + 1.2))
    return report


def _longest_gap(times_s: list[float], from_s: float, to_s: float) -> float:
    """The longest time without an acknowledgement that began between two moments."""
    longest_s, previous_s = 0.0, from_s
    for at_s in times_s:
        if at_s < from_s:
            continue
        longest_s = max(longest_s, at_s - previous_s)
        if at_s > to_s:
            break
        previous_s = at_s
    return longest_s


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--writers", type=int, default=70, help="per member")
    arguments = parser.parse_args()
    bad = 0
    for number in range(arguments.runs):
        with tempfile.TemporaryDirectory() as scratch:
            begun_s = time.monotonic()
            found = kill_leaders(pathlib.Path(scratch), kills=arguments.kills, writers=arguments.writers)
            bad += bool(found.lost or found.repeated or found.misplaced or not found.are_equal)
            print(f"run {number + 1}: {time.monotonic() - begun_s:.1f} s, {found}", flush=True)
    raise SystemExit(1 if bad else 0)
