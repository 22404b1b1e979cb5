"""One apiserver process over a stock etcd, and stock kubectls to drive it: no controllers, no nodes."""

import contextlib
import os
import random
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPException, HTTPSConnection
from pathlib import Path

from minik8s.kit import jws
from minik8s.kit.tls import Authority, Identity, client_context, write_private

MINIK8S = str(Path(sys.executable).with_name("minik8s"))
KUBECONFIG = """apiVersion: v1
kind: Config
clusters: [{{name: c, cluster: {{server: "https://127.0.0.1:{port}", certificate-authority: {ca}}}}}]
users: [{{name: u, user: {{client-certificate: {cert}, client-key: {key}}}}}]
contexts: [{{name: x, context: {{cluster: c, user: u}}}}]
current-context: x
"""


def find_kubectl(version: str = "1.31") -> str | None:
    """The kubectl of a version, where versions lie beside a dispatcher; else the only one, for 1.31."""
    found = shutil.which("kubectl")
    if found is None:
        return None
    versioned = Path(found).resolve().with_name(f"kubectl.{version}")
    return str(versioned) if versioned.exists() else (found if version == "1.31" else None)


def free_ports(count: int) -> list[int]:
    """Ports below the ephemeral range that nobody listens on now."""
    ports: list[int] = []
    while len(ports) < count:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            ports.append(port)
    return ports


class Cluster:
    """`directory` holds certificates, data and logs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.authority = authority = Authority(directory, "ca")
        self.serving = authority.issue("serving", user="kube-apiserver", hosts=["127.0.0.1", "localhost"])
        self.admin = authority.issue("admin", user="kubernetes-admin", groups=["system:masters"])
        self.stranger = authority.issue("stranger", user="bob")
        self.accounts_key = directory / "sa.key"
        write_private(self.accounts_key, jws.generate())
        self.port, self.grpc_port, self.etcd_port, self._peer_port = free_ports(4)

    @contextlib.contextmanager
    def running(self) -> Iterator["Cluster"]:
        """Both processes, until the end of the block."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._process("etcd", self._etcd_line()))
            stack.enter_context(self._process("apiserver", self.apiserver_line()))
            self._wait_until_ready()
            yield self

    def apiserver_line(self, **flags: object) -> list[str]:
        """The command line of the apiserver, with some flags changed."""
        settings: dict[str, object] = {
            "etcd_servers": f"http://127.0.0.1:{self.etcd_port}",
            "secure_port": self.port,
            "grpc_port": self.grpc_port,
            "tls_cert_file": self.serving.cert_file,
            "tls_private_key_file": self.serving.key_file,
            "client_ca_file": self.serving.ca_file,
            "service_account_signing_key_file": self.accounts_key,
            "disable_admission_plugins": "ServiceAccount",  # No controller makes the accounts it wants.
        } | flags
        return [MINIK8S, "apiserver", *(f"--{name.replace('_', '-')}={value}" for name, value in settings.items())]

    def kubectl(
        self,
        *args: str,
        stdin: str | None = None,
        fails: bool = False,
        out: bool = False,
        identity: Identity | None = None,
        version: str = "1.31",
        binary: str | None = None,
    ) -> str:
        """What kubectl printed: standard output, or of one that must fail standard error (unless `out`)."""
        done = self.run_kubectl(*args, stdin=stdin, identity=identity, version=version, binary=binary)
        assert (done.returncode != 0) is fails, f"{args}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stderr if fails and not out else done.stdout

    def run_kubectl(
        self,
        *args: str,
        stdin: str | None = None,
        identity: Identity | None = None,
        version: str = "1.31",
        binary: str | None = None,
        environment: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """kubectl, whatever becomes of it."""
        line = self.kubectl_line(*args, identity=identity, version=version, binary=binary)
        environment = self.environment() | (environment or {})
        return subprocess.run(line, input=stdin, capture_output=True, text=True, env=environment, timeout=60)

    def kubectl_line(
        self, *args: str, identity: Identity | None = None, version: str = "1.31", binary: str | None = None
    ) -> list[str]:
        binary = binary or find_kubectl(version)
        assert binary
        return [binary, "--kubeconfig", str(self._kubeconfig(identity or self.admin)), *args]

    def environment(self) -> dict[str, str]:
        """kubectl's own: caches stay below `directory`."""
        return os.environ | {"HOME": str(self.directory), "KUBECACHEDIR": str(self.directory / "cache")}

    def get(self, path: str, identity: Identity | None = None, **headers: str) -> tuple[int, bytes]:
        """(status, body) of a plain request."""
        context = client_context(identity) if identity else _anonymous(self.serving)
        connection = HTTPSConnection("127.0.0.1", self.port, context=context, timeout=20)
        with contextlib.closing(connection):
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def _kubeconfig(self, identity: Identity) -> Path:
        path = self.directory / f"{identity.cert_file.stem}.kubeconfig"
        ca, cert, key = identity.ca_file, identity.cert_file, identity.key_file
        if not path.exists():  # Several kubectls may run at once.
            written = path.with_suffix(".new")
            written.write_text(KUBECONFIG.format(port=self.port, ca=ca, cert=cert, key=key))
            written.rename(path)
        return path

    def _etcd_line(self) -> list[str]:
        url, peer = f"http://127.0.0.1:{self.etcd_port}", f"http://127.0.0.1:{self._peer_port}"
        line = ["etcd", "--data-dir", str(self.directory / "etcd"), "--listen-client-urls", url]
        line += ["--advertise-client-urls", url, "--listen-peer-urls", peer, "--unsafe-no-fsync"]
        return [*line, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}"]

    @contextlib.contextmanager
    def _process(self, name: str, line: list[str]) -> Iterator[None]:
        with (self.directory / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(line, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, HTTPException):
                if self.get("/readyz", self.admin)[0] == 200:
                    return
            time.sleep(0.05)
        raise AssertionError((self.directory / "apiserver.log").read_text()[-3000:])


def _anonymous(identity: Identity) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(identity.ca_file))
