"""The demonstration behind scripts/demo: each step says what it shows, proves it, and says how long it took.

    scripts/demo [--kills 20] [--keep]

Exits with 0 only if every proof held; a figure beyond its bar is marked «slow», for that may be the machine.
Whatever happens, Ctrl-C included, its cluster is gone afterwards.
"""

import argparse
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from kill_leader import Store
from tools import Cluster, DemoError, Load, indent, until

from minik8s.cli.cluster import load
from minik8s.cli.teardown import stop_cluster

HERE = Path(__file__).parent
IN_FLIGHT = 210
PER_SECOND = 60
IDLE_S = 5.0


@dataclass(slots=True)
class Proof:
    """One line of the summary; a timed one says how fast this machine was, and fails nothing."""

    claim: str
    measured: str
    holds: bool
    timed: bool = False

    @property
    def verdict(self) -> str:
        return "yes" if self.holds else "slow" if self.timed else "NO"


@dataclass(slots=True)
class Demo:
    """The steps, in order, on one cluster."""

    cluster: Cluster
    kills: int
    proofs: list[Proof] = field(default_factory=list)
    loads: list[Load] = field(default_factory=list)

    def steps(self) -> list[tuple[str, Callable[[], None]]]:
        return [
            ("one command starts a highly available cluster", self.start),
            ("stock kubectl deploys a web server of three replicas", self.deploy),
            ("requests to the Service's address spread over the pods", self.spread),
            ("scaling", self.scale),
            (f"a rolling update under {PER_SECOND} new connections a second, without one retry", self.update),
            (f"{self.kills} leaders of the store killed in a row (kill -9), under load", self.kill_leaders),
            ("an API server and a kubelet killed (kill -9)", self.kill_others),
            ("what it costs to do nothing", self.idle),
            ("taking it down leaves no process", self.stop),
        ]

    def start(self) -> None:
        self.cluster.minik8s("up", "--kubeconfig", str(self.cluster.kubeconfig), capture=False)
        print(indent(self.cluster.minik8s("status", check=False)))
        ready = self.cluster.kubectl("get", "nodes", "--no-headers").count(" Ready")
        self.prove("both nodes are Ready", f"{ready} of 2", ready == 2)

    def deploy(self) -> None:
        self.cluster.show("apply", "-f", str(HERE / "web.yaml"))
        self.cluster.show("rollout", "status", "deployment/web", "--timeout=60s")
        self.cluster.show("get", "pods", "-o", "wide")
        nodes = {pod["spec"]["nodeName"] for pod in self.pods()}
        self.prove("pods run on both nodes", f"{len(self.pods())} pods on {len(nodes)} nodes", len(nodes) == 2)

    def spread(self) -> None:
        with self.service_load() as found:
            # The proxy has the endpoints once the first answer is there; then 100 requests or so.
            time.sleep(100 / PER_SECOND)
        shares = {answer.split()[0]: number for answer, number in found["answers"].items()}
        print(indent("\n".join(f"{number:4} answers from {pod}" for pod, number in shares.items())))
        self.prove("every pod answers", f"{len(shares)} pods, p50 {found['p50_ms']} ms", len(shares) == 3)
        self.prove_no_failure("requests before any disturbance", found)

    def scale(self) -> None:
        self.cluster.show("scale", "deployment/web", "--replicas=5")
        took_s = until(lambda: self.ready_replicas() == 5, "five ready replicas")
        self.prove("five replicas are ready", f"after {took_s:.1f} s", True)
        self.cluster.kubectl("scale", "deployment/web", "--replicas=3")
        took_s = until(lambda: len(self.pods()) == 3, "three pods")
        print(f"   and three again: the others are on their way out after {took_s:.1f} s")

    def update(self) -> None:
        with self.service_load() as found:
            self.cluster.show("set", "env", "deployment/web", "VERSION=v2")
            print(indent(self.cluster.kubectl("rollout", "status", "deployment/web", "--timeout=90s")))
            time.sleep(1.0)
        self.cluster.show("rollout", "history", "deployment/web")
        versions = {answer.split()[1] for answer in found["answers"]}
        self.prove("the update was seen by clients", " then ".join(sorted(versions)), versions == {"v1", "v2"})
        self.prove_no_failure("requests during the rolling update", found)

    def kill_leaders(self) -> None:
        directory = self.cluster.directory
        cluster = load(directory)
        assert cluster is not None
        store = Store(cluster, directory)
        writes, objects = (
            self.load("store_load.py", directory, "--in-flight", IN_FLIGHT),
            self.load("api_load.py", directory),
        )
        with self.service_load() as requests:
            time.sleep(1.0)
            kills = []
            for number in range(1, self.kills + 1):
                kills.append(store.kill_leader())
                print(f"   {number:2}. {kills[-1]}", flush=True)
            time.sleep(0.5)
        held, kept = writes.finish(), objects.finish()
        self.loads.clear()
        gaps_s = [kill.writes_after_s for kill in kills]
        cost = f"median {median(gaps_s):.2f} s, worst {max(gaps_s):.2f} s"
        self.measure("writes go on within 2 s of each kill", cost, max(gaps_s) < 2)
        counts = f"{held['acknowledged']} acknowledged ({IN_FLIGHT} in flight), {held['unknown']} not"
        self.prove_no_fault("the store lost nothing it acknowledged, on any member", counts, held)
        counts = f"{kept['acknowledged']} acknowledged, {kept['failed']} failed, longest wait {kept['longest_gap_s']} s"
        self.prove_no_fault("Kubernetes lost nothing it acknowledged", counts, kept)
        for failure in kept["failures"]:
            print(f"   a failed create: {failure}")
        counts = f"{held['watched']} + {kept['watched']} events"
        reopened = held["watch_reopened"] + kept["watch_reopened"]
        whole = not any(found["faults"]["watch differs from history"] for found in (held, kept))
        self.prove("watches equal a replay of history", f"{counts}, reopened {reopened} times", whole)
        self.prove_no_failure("requests to the Service meanwhile", requests)

    def kill_others(self) -> None:
        started = {pod["metadata"]["name"]: container_ids(pod) for pod in self.pods()}
        objects = self.load("api_load.py", self.cluster.directory)
        with self.service_load() as requests:
            time.sleep(0.5)
            for component in ("apiserver-0", "kubelet-node-0"):
                killed = self.cluster.process(component)
                killed.kill(signal.SIGKILL)
                took_s = until(lambda name=component, old=killed: self.is_replaced(name, old), f"{component} again")
                print(f"   {component} killed (pid {killed.pid}); a new process after {took_s:.2f} s")
                time.sleep(2.0)
        kept = objects.finish()
        self.loads.clear()
        counts = f"{kept['acknowledged']} acknowledged, {kept['failed']} failed, longest wait {kept['longest_gap_s']} s"
        self.prove_no_fault("an API server's death loses nothing it acknowledged", counts, kept)
        same = {pod["metadata"]["name"]: container_ids(pod) for pod in self.pods()} == started
        self.prove("containers outlive their kubelet", "the same containers" if same else "they were restarted", same)
        until(self.nodes_ready, "both nodes Ready")
        self.prove_no_failure("requests to the Service meanwhile", requests)

    def idle(self) -> None:
        time.sleep(2.0)
        before_s = self.cluster.cpu_s()
        time.sleep(IDLE_S)
        percent = 100 * (self.cluster.cpu_s() - before_s) / IDLE_S
        memory = self.cluster.memory_mib()
        print(indent("\n".join(f"{name:18} {mib:6.1f} MiB" for name, mib in memory.items())))
        self.measure("the idle cluster stays below 10 % of a core", f"{percent:.1f} %", percent < 10)
        print(f"   memory of everything, shared pages counted once: {sum(memory.values()):.0f} MiB")

    def stop(self) -> None:
        processes = self.cluster.processes()
        print(indent(self.cluster.minik8s("down", "--delete")))
        left = [name for name, process in processes.items() if process.is_alive()] + strays(self.cluster.directory)
        self.prove("no process is left", ", ".join(left) or "none", not left)

    def pods(self) -> list[dict]:
        """The web server's pods that are not on their way out."""
        items = self.cluster.kubectl_json("get", "pods", "-l", "app=web")["items"]
        return [pod for pod in items if "deletionTimestamp" not in pod["metadata"]]

    def ready_replicas(self) -> int:
        return self.cluster.kubectl_json("get", "deployment", "web").get("status", {}).get("readyReplicas", 0)

    def nodes_ready(self) -> bool:
        return self.cluster.kubectl("get", "nodes", "--no-headers", check=False).count(" Ready") == 2

    def is_replaced(self, component: str, old: object) -> bool:
        with contextlib.suppress(DemoError):
            return self.cluster.process(component) != old
        return False

    def load(self, script: str, *args: object) -> Load:
        self.loads.append(Load(script, *args))
        return self.loads[-1]

    @contextlib.contextmanager
    def service_load(self) -> Iterator[dict]:
        """Requests at a fixed rate while the body runs; what came of them is in the dict afterwards."""
        service = self.cluster.kubectl_json("get", "service", "web")["spec"]
        found: dict = {}
        load = self.load(
            "service_load.py", service["clusterIP"], service["ports"][0]["port"], "--per-second", PER_SECOND
        )
        yield found
        found.update(load.finish())
        self.loads.remove(load)

    def prove(self, claim: str, measured: str, holds: bool) -> None:
        self.proofs.append(Proof(claim, measured, holds))
        print(f"   {'proved' if holds else 'FAILED'}: {claim}: {measured}", flush=True)

    def measure(self, claim: str, figure: str, holds: bool) -> None:
        self.proofs.append(Proof(claim, figure, holds, timed=True))
        print(f"   {'measured' if holds else 'SLOW'}: {claim}: {figure}", flush=True)

    def prove_no_fault(self, claim: str, measured: str, found: dict) -> None:
        faults = [f"{what}: {number}" for what, number in found["faults"].items() if number]
        self.prove(claim, "; ".join([measured, *faults]), not faults)

    def prove_no_failure(self, claim: str, found: dict) -> None:
        rate = f"{found['requests']} at {found['per_second']}/s, p99 {found['p99_ms']} ms"
        failures = [f"{number} × {what}" for what, number in found["failures"].items()]
        self.prove(f"no failed {claim}", "; ".join([rate, *failures]), found["requests"] > 0 and not failures)


def container_ids(pod: dict) -> list[tuple[str, int]]:
    statuses = pod["status"].get("containerStatuses", [])
    return [(status.get("containerID", ""), status["restartCount"]) for status in statuses]


def strays(directory: Path) -> list[str]:
    """Processes that still work below the cluster's directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str((path / "cwd").readlink()).startswith(str(directory)):
                found.append(f"{path.name} ({(path / 'comm').read_text().strip()})")
    return found


def summary(demo: Demo, times_s: list[tuple[str, float]]) -> None:
    print("\nSummary")
    for number, (title, took_s) in enumerate(times_s, 1):
        print(f"  {number:2}. {took_s:6.1f} s  {title}")
    total_s = time.time() - float(os.environ.get("DEMO_STARTED_S", time.time()))
    print(f"      {total_s:6.1f} s  in all, set-up included\n")
    width = max((len(proof.claim) for proof in demo.proofs), default=0)
    for proof in demo.proofs:
        print(f"  {proof.verdict:4}  {proof.claim:{width}}  {proof.measured}")


def run(demo: Demo) -> bool:
    """Every step until one fails; whether all proofs held."""
    times_s: list[tuple[str, float]] = []
    finished = False
    steps = demo.steps()
    try:
        for number, (title, step) in enumerate(steps, 1):
            print(f"\n{number}. {title}", flush=True)
            started = time.monotonic()
            step()
            times_s.append((title, time.monotonic() - started))
            print(f"   ({times_s[-1][1]:.1f} s)", flush=True)
        finished = True
    except DemoError as error:
        print(f"   FAILED: {error}", flush=True)
    finally:
        for load_ in demo.loads:
            load_.kill()
    summary(demo, times_s)
    return finished and all(proof.holds or proof.timed for proof in demo.proofs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="leaders to kill in a row")
    parser.add_argument("--keep", action="store_true", help="keep the directory with all logs")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    data_directory = Path(tempfile.mkdtemp(prefix="minik8s-demo-"))
    try:
        demo = Demo(Cluster(data_directory, "demo"), options.kills)
        held = run(demo)
        options.keep |= not held
    except KeyboardInterrupt:
        print("\ninterrupted")
        return 130
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    finally:
        stop_cluster(data_directory / "demo")
        if options.keep:
            print(f"\nlogs: {data_directory}")
        else:
            shutil.rmtree(data_directory, ignore_errors=True)
    print("\nEvery proof held." if held else "\nNot every proof held.")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
