"""The apiserver as a process: the API of `core`, served over REST and gRPC. Built by `cli/apiserver`."""

import asyncio
import contextlib
import random
import ssl
from asyncio import sleep
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from prometheus_client import CollectorRegistry

from minik8s.api.errors import StatusError
from minik8s.api.request import Request
from minik8s.control.apiserver import http, resources
from minik8s.control.apiserver.admission.dynamic.metrics import HookMetrics
from minik8s.control.apiserver.audit.log import AuditConfig, AuditLog
from minik8s.control.apiserver.authn import openid
from minik8s.control.apiserver.calls import Calls, CallsConfig
from minik8s.control.apiserver.core import Core, CoreConfig
from minik8s.control.apiserver.documents import Documents
from minik8s.control.apiserver.encryption.keyring import Keyring
from minik8s.control.apiserver.encryption.store import EncryptedStore, keyrings_by_prefix
from minik8s.control.apiserver.grpc import GrpcFace
from minik8s.control.apiserver.handler import Api
from minik8s.control.apiserver.logs import KubeletClient
from minik8s.control.apiserver.metered import MeteredStore
from minik8s.control.apiserver.metrics import Counts, Metrics
from minik8s.control.apiserver.proxies import Proxies
from minik8s.control.apiserver.storage import Store
from minik8s.kit import health, tls
from minik8s.kit.clock import Clock
from minik8s.kit.log import get_logger
from minik8s.kit.run import StartError

log = get_logger(__name__)

_CLEANUP_TIMEOUT_S = 1.0  # for what is still open when everything has had its time
_STREAMS_TIMEOUT_S = 1.0  # for watches to send what they hold


@dataclass(frozen=True, slots=True)
class Config:
    """Where an apiserver listens, and by what certificates. Port 0 takes a free one."""

    identity: tls.Identity  # serving certificate; its authority signs the clients' certificates
    bind_address: str = "127.0.0.1"
    secure_port: int = 6443
    grpc_port: int = 6444
    grpc_token_port: int | None = None  # for who has a token and no certificate; None: nowhere
    proxy_ca_file: Path | None = None  # authority of front proxies, trusted beside that of clients
    kubelet_identity: tls.Identity | None = None  # for logs; None: there are none
    front_proxy_identity: tls.Identity | None = None  # towards servers of APIServices; None: they do not believe us
    core: CoreConfig = field(default_factory=CoreConfig)
    calls: CallsConfig = field(default_factory=CallsConfig)
    audit: AuditConfig | None = None  # None: nothing is written
    keyrings: Mapping[str, Keyring] = field(default_factory=dict)  # by resource: what is sealed in the store
    shutdown_delay_s: float = 0.0  # between saying "not ready" and taking no more connections


class ApiServer:
    """One apiserver over `store`. `secure_port` and `grpc_port` are the real ones once `listening` is set."""

    name = "apiserver"

    def __init__(self, config: Config, store: Store, *, clock: Clock, rng: random.Random) -> None:
        self.registry = CollectorRegistry()
        self._metrics = Metrics(self.registry, self._serves)
        store = MeteredStore(store, self._metrics, clock=clock)
        if config.keyrings:
            store = EncryptedStore(store, keyrings_by_prefix(config.keyrings, resources.STORED))
        self.core = Core(config.core, store, clock=clock, rng=rng)
        self.core.hook_observers.append(HookMetrics(self.registry).called)
        self.core.aggregator.identity = config.front_proxy_identity
        self.listening = asyncio.Event()
        self.secure_port = config.secure_port
        self.grpc_port = config.grpc_port
        self._config = config
        self._store = store
        self._clock = clock
        self._rng = rng
        self._audit = AuditLog(config.audit, self.registry, clock=clock) if config.audit else None
        self._calls = Calls(config.calls, self._metrics, clock=clock, audit=self._audit)
        self._proxies = Proxies(
            config.kubelet_identity, allows_loopback=config.core.admission.allow_loopback_endpoints, rng=rng
        )
        self._is_stopping = False
        self._site: web.TCPSite | None = None
        in_flight, objects = self._calls.in_flight, self.core.cache
        self.registry.register(
            Counts(
                "apiserver_current_inflight_requests", "Requests worked on.", "request_kind", lambda: in_flight.counts
            )
        )
        self.registry.register(Counts("apiserver_storage_objects", "Objects stored.", "resource", objects.counts))

    @property
    def api(self) -> Api:
        """The API without a network."""
        return self.core.api

    def checks(self) -> Mapping[str, health.Check]:
        """What /readyz asks."""
        return {
            "etcd": self.core.not_ready,
            "shutdown": lambda: "process is shutting down" if self._is_stopping else None,
        }

    async def run(self) -> None:
        """Serve until cancelled, then let go of clients one by one. Raises StartError if it cannot listen."""
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self._store.close)
            stack.push_async_callback(self._proxies.close)
            if self._audit:
                await stack.enter_async_context(self._audit.writing())
            self.secure_port = await stack.enter_async_context(self._serving_http())
            address = f"{self._config.bind_address}:{self._config.grpc_port}"
            face = GrpcFace(
                self.api,
                self.core.authenticator,
                self._calls,
                address,
                self._config.identity,
                clock=self._clock,
                rng=self._rng,
                token_address=self._token_address(),
            )
            self.grpc_port = await stack.enter_async_context(face.serving())
            self.listening.set()
            log.info("serving", address=self._config.bind_address, https=self.secure_port, grpc=self.grpc_port)
            # While clients are let go, what answers them must go on.
            core = asyncio.ensure_future(self.core.run())
            try:
                await asyncio.shield(core)
            except asyncio.CancelledError:
                if not core.done():
                    await self._drain(face)
                raise
            finally:
                core.cancel()
                await asyncio.wait([core])

    def _keys_of_accounts(self) -> Mapping[str, tuple[bytes, str]]:
        address = f"https://{self._config.bind_address}:{self._config.secure_port}"
        return openid.documents(self._config.core.authentication.accounts, address)

    def _token_address(self) -> str:
        port = self._config.grpc_token_port
        return "" if port is None else f"{self._config.bind_address}:{port}"

    async def _drain(self, face: GrpcFace) -> None:
        """As upstream: not ready first, then no new connections, then the end of watches and of requests in flight.

        Watches end after what they hold, without error: clients resume at another apiserver. A second cancellation
        ends this at once.
        """
        self._is_stopping = True
        log.info("shutting down", in_flight=self._calls.in_flight.total, watches=self._calls.long_running)
        await sleep(self._config.shutdown_delay_s)
        self._calls.is_draining = True
        if self._site:
            await self._site.stop()
        stopping = asyncio.ensure_future(face.drain(self._config.calls.request_timeout_s))
        self.core.cache.end_watches()
        try:
            await self._calls.wait_until(lambda: not self._calls.in_flight.total, self._config.calls.request_timeout_s)
            await self._calls.wait_until(lambda: not self._calls.long_running, _STREAMS_TIMEOUT_S)
        finally:
            stopping.cancel()
        log.info("drained", in_flight=self._calls.in_flight.total, open=self._calls.long_running)

    def _serves(self, request: Request) -> bool:
        """Whether a request is for something that is served."""
        try:
            resource = self.api.find(request.group, request.version, request.resource)
        except StatusError:
            return False
        return request.subresource in ("", *resource.subresources)

    @contextlib.asynccontextmanager
    async def _serving_http(self):  # type: ignore[no-untyped-def]
        """Serve REST within the block; gives the port."""
        parts = http.Parts(
            api=self.api,
            authenticator=self.core.authenticator,
            documents=Documents(self.core.served, self._keys_of_accounts(), self.core.remotes),
            aggregator=self.core.aggregator,
            kubelets=KubeletClient(self._config.kubelet_identity),
            proxies=self._proxies,
            calls=self._calls,
            metrics=self._metrics,
            checks=self.checks(),
            registry=self.registry,
        )
        app = http.application(parts, clock=self._clock, rng=self._rng)
        # A client that leaves cancels its handler: that is how a quiet watch learns that nobody listens.
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=_CLEANUP_TIMEOUT_S)
        await runner.setup()
        address, port = self._config.bind_address, self._config.secure_port
        try:
            site = web.TCPSite(runner, address, port, ssl_context=_context(self._config))
            await site.start()
            self._site = site
            yield runner.addresses[0][1]
        except OSError as error:
            raise StartError(f"cannot listen on {address}:{port}: {error.strerror or error}") from error
        finally:
            await runner.cleanup()


def _context(config: Config) -> ssl.SSLContext:
    identity = config.identity
    try:
        context = tls.server_context(identity)
        if config.proxy_ca_file:
            context.load_verify_locations(config.proxy_ca_file)
        return context
    except (OSError, ssl.SSLError) as error:
        files = f"{identity.cert_file}, {identity.key_file}, {identity.ca_file}"
        raise StartError(f"cannot use the certificates {files}: {error}") from error
