"""A runtime server as a real process, with a CRI client: what the tests of the node start."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from minik8s.node.kubelet.cri import CONTAINER_NAME, POD_NAME, POD_NAMESPACE, POD_UID, CriClient, CriError
from minik8s.wire.cri import api_pb2 as cri

DEADLINE_S = 20.0


class RuntimeProcess:
    """`minik8s runtime` below `home`; may be killed and started again."""

    def __init__(self, home: Path, pod_cidr: str = "127.77.1.0/24") -> None:
        self.home = home
        self.socket = home / "cri.sock"
        self.client = CriClient(f"unix://{self.socket}")
        self.pod_cidr = pod_cidr
        self.process: asyncio.subprocess.Process | None = None

    async def spawn(self) -> None:
        with (self.home / "runtime.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", "from minik8s.cli.main import main; main()", "runtime",
                "--listen", f"unix://{self.socket}", "--root", str(self.home / "root"), "--stop-grace", "1",
                stderr=log,
            )  # fmt: skip

    async def start(self) -> None:
        """Start the process and wait until it answers."""
        await self.spawn()
        await self.client.close()
        self.client.open()
        await until(self._answers)
        await self.client.set_pod_cidr(self.pod_cidr)

    async def _answers(self) -> bool:
        assert self.process and self.process.returncode is None, (self.home / "runtime.log").read_text()
        with contextlib.suppress(CriError):
            return bool(await self.client.version())
        return False

    async def kill(self, number: signal.Signals = signal.SIGKILL) -> int:
        assert self.process
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), DEADLINE_S)

    def sandbox_config(self, name: str, uid: str = "") -> cri.PodSandboxConfig:
        uid = uid or f"uid-{name}"
        return cri.PodSandboxConfig(
            metadata=cri.PodSandboxMetadata(name=name, uid=uid, namespace="default"),
            hostname=name,
            log_directory=str(self.home / "logs" / name),
            labels={POD_NAME: name, POD_NAMESPACE: "default", POD_UID: uid},
        )

    async def launch(self, sandbox_id: str, sandbox: cri.PodSandboxConfig, name: str, *command: str, **fields) -> str:
        """Create and start a container; its id."""
        config = container_config(sandbox, name, *command, **fields)
        container_id = await self.client.create_container(sandbox_id, config, sandbox)
        await self.client.start_container(container_id)
        return container_id

    async def status(self, uid: str, container_id: str):
        view = await self.client.pod(uid)
        return next(container for container in view.containers if container.id == container_id)

    async def ended(self, uid: str, container_id: str):
        """The container's view once it has exited."""

        async def has_ended() -> bool:
            return (await self.status(uid, container_id)).state == "exited"

        await until(has_ended)
        return await self.status(uid, container_id)


def container_config(sandbox: cri.PodSandboxConfig, name: str, *command: str, attempt: int = 0, env=None, **fields):
    return cri.ContainerConfig(
        metadata=cri.ContainerMetadata(name=name, attempt=attempt),
        image=cri.ImageSpec(image="example.org/none:1"),
        command=command,
        envs=[cri.KeyValue(key=key, value=value.encode()) for key, value in (env or {}).items()],
        labels={**sandbox.labels, CONTAINER_NAME: name},
        log_path=f"{name}/{attempt}.log",
        **fields,
    )


@contextlib.asynccontextmanager
async def running_runtime(home: Path) -> AsyncIterator[RuntimeProcess]:
    runtime = RuntimeProcess(home)
    await runtime.start()
    try:
        yield runtime
    finally:
        # SIGTERM, so that no container outlives its test.
        await runtime.kill(signal.SIGTERM)
        await runtime.client.close()


async def until(condition, deadline_s: float = DEADLINE_S) -> None:
    """Wait for an async condition; fails when it does not come true in time."""
    async with asyncio.timeout(deadline_s):
        while not await condition():
            await asyncio.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
