"""Two apiservers over one stock etcd behind the address of a balancer, as clients see them; either can be killed."""

import contextlib
import itertools
import subprocess
import time
from collections.abc import Callable, Iterator
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import TypeVar

from conformance.kubectl.cluster import MINIK8S, Cluster, free_ports
from minik8s.kit.tls import client_context

Result = TypeVar("Result")


class World(Cluster):
    """`port` is the balancer's. The store has forgotten revision 1: a watch from there is told 410."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._backends = [(self._free(), self._free()) for _ in range(2)]
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._turns = itertools.cycle(range(2))

    @contextlib.contextmanager
    def running(self) -> Iterator["World"]:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._process("etcd", self._etcd_line()))
            self._make_history()
            stack.callback(self._kill_all)
            self._start(0)
            self._start(1)
            addresses = ",".join(f"127.0.0.1:{port}" for port, _ in self._backends)
            line = [MINIK8S, "loadbalancer", f"--listen=127.0.0.1:{self.port}", f"--backends={addresses}"]
            stack.enter_context(self._process("balancer", [*line, f"--certificate-authority={self.serving.ca_file}"]))
            for index in range(2):
                self._wait_for(index)
            self._wait_until_ready()
            yield self

    @contextlib.contextmanager
    def one_server_dead(self) -> Iterator[None]:
        """kill -9 of one apiserver, each time the other one; at the end of the block there are two again."""
        index = next(self._turns)
        self._processes[index].kill()
        self._processes[index].wait()
        try:
            yield
        finally:
            self._start(index)
            self._wait_for(index)

    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self._kubeconfig(self.admin)

    def _start(self, index: int) -> None:
        port, grpc_port = self._backends[index]
        with (self.directory / f"apiserver-{index}.log").open("ab") as log:
            line = self.apiserver_line(secure_port=port, grpc_port=grpc_port)
            self._processes[index] = subprocess.Popen(line, stdout=log, stderr=log)

    def _kill_all(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()

    def _wait_for(self, index: int) -> None:
        port, _ = self._backends[index]

        def ready() -> bool:
            assert self._processes[index].poll() is None, (self.directory / f"apiserver-{index}.log").read_text()[
                -3000:
            ]
            connection = HTTPSConnection("127.0.0.1", port, context=client_context(self.admin), timeout=5)
            with contextlib.closing(connection):
                connection.request("GET", "/readyz")
                return connection.getresponse().status == 200

        until(ready, failures=(OSError, HTTPException))

    def _make_history(self) -> None:
        """Let a few revisions pass, and forget them."""

        def etcdctl(*args: str) -> bool:
            line = ["etcdctl", f"--endpoints=http://127.0.0.1:{self.etcd_port}", *args]
            return (
                subprocess.run(line, env=self.environment() | {"ETCDCTL_API": "3"}, capture_output=True).returncode == 0
            )

        until(lambda: etcdctl("put", "/before", "x"))
        assert etcdctl("put", "/before", "y")
        assert etcdctl("compact", "3")

    def _free(self) -> int:
        return free_ports(1)[0]


def until(attempt: Callable[[], Result], *, failures: tuple[type[Exception], ...] = (), within_s: float = 20) -> Result:
    """What `attempt` gives, as soon as that is true and it does not fail in one of the ways that pass."""
    deadline = time.monotonic() + within_s
    failure: Exception | None = None
    while time.monotonic() < deadline:
        try:
            if result := attempt():
                return result
        except failures as error:
            failure = error
        time.sleep(0.05)
    raise AssertionError("nothing came in time") from failure
