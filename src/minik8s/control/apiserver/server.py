"""The apiserver as a process: the API of `core`, served over REST and gRPC. Built by `cli/apiserver`."""

import asyncio
import contextlib
import random
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiohttp import web
from prometheus_client import CollectorRegistry

from minik8s.control.apiserver import http, resources
from minik8s.control.apiserver.core import Core, CoreConfig
from minik8s.control.apiserver.documents import Documents
from minik8s.control.apiserver.grpc import GrpcFace
from minik8s.control.apiserver.handler import Api
from minik8s.control.apiserver.logs import KubeletClient
from minik8s.control.apiserver.metrics import Metrics
from minik8s.control.apiserver.storage import Store
from minik8s.kit import health, tls
from minik8s.kit.clock import Clock
from minik8s.kit.log import get_logger
from minik8s.kit.run import StartError

log = get_logger(__name__)

_SHUTDOWN_TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True)
class Config:
    """Where an apiserver listens, and by what certificates. Port 0 takes a free one."""

    identity: tls.Identity  # serving certificate; its authority signs the clients' certificates
    bind_address: str = "127.0.0.1"
    secure_port: int = 6443
    grpc_port: int = 6444
    kubelet_identity: tls.Identity | None = None  # for logs; None: there are none
    core: CoreConfig = field(default_factory=CoreConfig)


class ApiServer:
    """One apiserver over `store`. `secure_port` and `grpc_port` are the real ones once `listening` is set."""

    name = "apiserver"

    def __init__(self, config: Config, store: Store, *, clock: Clock, rng: random.Random) -> None:
        self.registry = CollectorRegistry()
        self.core = Core(config.core, store, clock=clock, rng=rng)
        self.listening = asyncio.Event()
        self.secure_port = config.secure_port
        self.grpc_port = config.grpc_port
        self._config = config
        self._store = store
        self._clock = clock
        self._rng = rng
        self._metrics = Metrics(self.registry, resources.ALL)

    @property
    def api(self) -> Api:
        """The API without a network."""
        return self.core.api

    def checks(self) -> Mapping[str, health.Check]:
        """What /readyz asks."""
        return {"etcd": self.core.not_ready}

    async def run(self) -> None:
        """Serve until cancelled. Raises StartError if it cannot listen."""
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self._store.close)
            self.secure_port = await stack.enter_async_context(self._serving_http())
            address = f"{self._config.bind_address}:{self._config.grpc_port}"
            face = GrpcFace(
                self.api, self.core.authenticator, self._metrics, address, self._config.identity, clock=self._clock
            )
            self.grpc_port = await stack.enter_async_context(face.serving())
            self.listening.set()
            log.info("serving", address=self._config.bind_address, https=self.secure_port, grpc=self.grpc_port)
            await self.core.run()

    @contextlib.asynccontextmanager
    async def _serving_http(self):  # type: ignore[no-untyped-def]
        """Serve REST within the block; gives the port."""
        parts = http.Parts(
            api=self.api,
            authenticator=self.core.authenticator,
            documents=Documents(resources.ALL),
            kubelets=KubeletClient(self._config.kubelet_identity),
            metrics=self._metrics,
            checks=self.checks(),
            registry=self.registry,
        )
        app = http.application(parts, clock=self._clock, rng=self._rng)
        # A client that leaves cancels its handler: that is how a quiet watch learns that nobody listens.
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_TIMEOUT_S)
        await runner.setup()
        address, port = self._config.bind_address, self._config.secure_port
        try:
            await web.TCPSite(runner, address, port, ssl_context=_context(self._config.identity)).start()
            yield runner.addresses[0][1]
        except OSError as error:
            raise StartError(f"cannot listen on {address}:{port}: {error.strerror or error}") from error
        finally:
            await runner.cleanup()


def _context(identity: tls.Identity) -> ssl.SSLContext:
    try:
        return tls.server_context(identity)
    except (OSError, ssl.SSLError) as error:
        files = f"{identity.cert_file}, {identity.key_file}, {identity.ca_file}"
        raise StartError(f"cannot use the certificates {files}: {error}") from error
