"""The apiserver without a network: a store below, the API on top. Tests and simulation run it as it is.

`server` adds REST and gRPC. It is stateless: several over one store are one API.
"""

import asyncio
import contextlib
import random
import re
from asyncio import sleep
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network

from minik8s.api.errors import StatusError
from minik8s.control.apiserver import authn, resources
from minik8s.control.apiserver.admission.dynamic import assembly as dynamic
from minik8s.control.apiserver.admission.dynamic.metrics import HookCall
from minik8s.control.apiserver.admission.reader import ObjectReader
from minik8s.control.apiserver.admission.resource_quota import ResourceQuota
from minik8s.control.apiserver.admission.selection import QUOTA, AdmissionConfig
from minik8s.control.apiserver.allocation import ServiceAddresses
from minik8s.control.apiserver.asker import WebhookConfig
from minik8s.control.apiserver.authn import assembly
from minik8s.control.apiserver.authn.assembly import AuthenticationConfig
from minik8s.control.apiserver.authn.requests import TokenRequests
from minik8s.control.apiserver.authn.reviews import Reviews
from minik8s.control.apiserver.authz import modes
from minik8s.control.apiserver.authz.escalation import EscalationCheck
from minik8s.control.apiserver.authz.rbac import Policy
from minik8s.control.apiserver.authz.reconcile import reconcile
from minik8s.control.apiserver.authz.reviews import AccessReviews
from minik8s.control.apiserver.authz.webhook import WebhookAuthorizer
from minik8s.control.apiserver.bootstrap import bootstrap
from minik8s.control.apiserver.compactor import Compactor
from minik8s.control.apiserver.eviction import Evictions
from minik8s.control.apiserver.extensions.aggregation import Aggregator
from minik8s.control.apiserver.extensions.availability import ApiServiceKeeper
from minik8s.control.apiserver.extensions.conversion import Converter, Renaming, Webhook
from minik8s.control.apiserver.extensions.definitions import Definitions
from minik8s.control.apiserver.extensions.keeper import Keeper
from minik8s.control.apiserver.extensions.remotes import Remotes
from minik8s.control.apiserver.gate import Gate
from minik8s.control.apiserver.handler import Api
from minik8s.control.apiserver.leases import Leases
from minik8s.control.apiserver.pipeline import Pipeline
from minik8s.control.apiserver.reads import Reader
from minik8s.control.apiserver.registry import Registry
from minik8s.control.apiserver.resource import Document
from minik8s.control.apiserver.resources.specialip import is_loopback
from minik8s.control.apiserver.served import Served
from minik8s.control.apiserver.storage import Store, StoreError
from minik8s.control.apiserver.watchcache import WatchCache, WatchCacheConfig
from minik8s.control.apiserver.webhook_client import WebhookClient
from minik8s.kit.backoff import Backoff
from minik8s.kit.clock import Clock
from minik8s.kit.log import get_logger

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CoreConfig:
    """What the API itself is configured by."""

    service_cidr: str = "10.96.0.0/16"
    bind_address: str = "127.0.0.1"  # with the port: where the service `kubernetes` leads
    secure_port: int = 6443
    authorization_modes: tuple[str, ...] = modes.DEFAULT_MODES  # in the order they are asked
    authorization_webhook: WebhookConfig | None = None  # whom mode Webhook asks
    authentication: AuthenticationConfig = field(default_factory=AuthenticationConfig)
    admission: AdmissionConfig = field(default_factory=AdmissionConfig)
    # What servers of APIServices must know: the data of a ConfigMap they read. Empty: nothing.
    extension_authentication: Mapping[str, str] = field(default_factory=dict)
    has_api_services: bool = False  # whether APIServices are kept: registered for what is served, checked for others
    compaction_interval_s: float = 300.0  # 0: somebody else compacts the store
    event_ttl_s: float = 3600.0  # how long Events live; 0: for ever
    watch_cache: WatchCacheConfig = field(default_factory=WatchCacheConfig)


class Core:
    """Store, cache, reads and writes of one apiserver, put together."""

    def __init__(self, config: CoreConfig, store: Store, *, clock: Clock, rng: random.Random) -> None:
        self.config = config
        self.clock = clock
        self.is_bootstrapped = False
        self.served = Served(resources.ALL)
        self.definitions = Definitions(self.served)
        self.cache = WatchCache(store, resources.STORED, rng=rng, definer=self.definitions, config=config.watch_cache)
        self.registry = Registry(store, rng=rng)
        policy = Policy(self.cache)
        decider = config.authorization_webhook
        webhook = WebhookAuthorizer(decider, clock=clock, rng=rng) if decider else None
        self.authorizer = modes.build(config.authorization_modes, self.cache, policy, webhook)
        addresses = ServiceAddresses(service_cidr=config.service_cidr, random=rng)
        leases = Leases(store, clock=clock, event_ttl_s=config.event_ttl_s)
        looks = ObjectReader(self.registry, self.cache, resources.STORED)
        self.webhooks = WebhookClient(looks, rng=rng)
        builtin = config.admission.chain(self.authorizer)
        self.hook_observers: list[Callable[[HookCall], None]] = []
        asked = dynamic.plugins(
            self.cache,
            self.served,
            self.webhooks,
            self.authorizer,
            before=builtin,
            rng=rng,
            is_on=config.admission.is_on,
            observers=self.hook_observers,
        )
        chain = (*builtin, *asked, addresses, EscalationCheck(self.authorizer, policy))
        quota = ResourceQuota(clock) if config.admission.is_on(QUOTA) else None
        self._gate = Gate(chain, looks, quota=quota)
        pipeline = Pipeline(self.registry, leases, self._gate, clock=clock, rng=rng)
        self.api = Api(self.served, Reader(self.registry, self.cache, rng=rng), pipeline, self.authorizer)
        self.remotes = Remotes()
        self.aggregator = Aggregator(self.cache, looks, rng.choice)
        self._looks = looks
        self.authenticator = assembly.build(config.authentication, looks, self.authorizer, clock=clock, rng=rng)
        self._store = store
        self._rng = rng
        self._answer_reviews(looks)
        self._compactor = Compactor(store, interval_s=config.compaction_interval_s)

    def _answer_reviews(self, looks: ObjectReader) -> None:
        """Install who answers what is asked rather than stored."""
        reviews = Reviews(self.authenticator, self.clock)
        self.api.answers["authentication.k8s.io", "tokenreviews"] = reviews.token
        self.api.answers["authentication.k8s.io", "selfsubjectreviews"] = reviews.oneself
        access = AccessReviews(self.authorizer)
        self.api.answers["authorization.k8s.io", "selfsubjectaccessreviews"] = access.oneself
        self.api.answers["authorization.k8s.io", "selfsubjectrulesreviews"] = access.rules
        self.api.answers["authorization.k8s.io", "subjectaccessreviews"] = access.subject
        self.api.answers["authorization.k8s.io", "localsubjectaccessreviews"] = access.local
        tokens = TokenRequests(self.config.authentication.accounts, looks, self.clock, self._rng)
        self.api.answers["", "serviceaccounts/token"] = tokens.create
        self.api.answers["", "pods/eviction"] = Evictions(
            self.api.pipeline, self._gate, self.registry, looks, clock=self.clock
        ).answer

    def _converter(self, definition: Document) -> Converter:
        """Who makes a version of a custom kind of another."""
        if definition["spec"]["conversion"]["strategy"] == "Webhook":
            return Webhook(definition, self.webhooks, self._rng)
        return Renaming()

    def not_ready(self) -> str | None:
        """Why requests would not be answered well; None if they would."""
        if not self.cache.filled.is_set():
            return "the store has not been read yet"
        return None if self.is_bootstrapped else "the first namespaces are not there yet"

    async def run(self) -> None:
        """Follow the store, make what every cluster has, and compact, until cancelled."""
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self.webhooks.close)
            stack.push_async_callback(self.aggregator.close)
            stack.push_async_callback(self.authorizer.close)
            group = await stack.enter_async_context(asyncio.TaskGroup())
            self.definitions.converter = self._converter
            group.create_task(self.cache.run())
            group.create_task(self._compactor.run())
            group.create_task(
                Keeper(self.definitions, self.api.as_user(authn.SERVER), clock=self.clock, rng=self._rng).run()
            )
            group.create_task(self._ask_version())
            await self._bootstrap()
            if self.config.has_api_services:
                group.create_task(self._api_services().run())

    def _api_services(self) -> ApiServiceKeeper:
        handler = self.api.as_user(authn.SERVER)
        keeper = ApiServiceKeeper(
            self.served,
            self.aggregator,
            self.remotes,
            handler,
            self._looks,
            told=self.config.extension_authentication,
            clock=self.clock,
            rng=self._rng,
        )
        self.definitions.listeners.append(keeper.changed.set)
        return keeper

    async def _bootstrap(self) -> None:
        """Keep trying: the store may start later than we do."""
        await self.cache.filled.wait()
        backoff = Backoff(self._rng, max_s=1.0)
        handler = self.api.as_user(authn.SERVER)
        address = str(ip_network(self.config.service_cidr)[1])
        while not self.is_bootstrapped:
            try:
                await bootstrap(
                    handler,
                    service_address=address,
                    bind_address=self._own_address(),
                    secure_port=self.config.secure_port,
                )
                if "RBAC" in self.config.authorization_modes:
                    await reconcile(handler, self.registry)
                    await self.api.reader.reached()  # Decisions go by the cache.
                self.is_bootstrapped = True
            except StatusError as error:
                log.warning("cannot create the first objects yet", error=error.message)
                await sleep(backoff.next_s())

    def _own_address(self) -> str:
        """Where the service `kubernetes` leads; "" for nowhere: a loopback address may be no endpoint."""
        address = self.config.bind_address
        return "" if is_loopback(address) and not self.config.admission.allow_loopback_endpoints else address

    async def _ask_version(self) -> None:
        """Learn whether the store's progress announcements can be believed; until it has said so, they are not."""
        backoff = Backoff(self._rng, max_s=5.0)
        while True:
            try:
                self.cache.is_progress_sound = is_progress_sound((await self._store.status()).version)
                return
            except StoreError as error:
                log.debug("the store does not tell its version yet", error=str(error))
                await sleep(backoff.next_s())


def is_progress_sound(version: str) -> bool:
    """Whether an etcd of this version announces progress only after what it covers (etcd issue 15220)."""
    found = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    if found is None:
        return False
    numbers = tuple(int(number) for number in found.groups())
    return numbers >= (3, 5, 8) or (3, 4, 25) <= numbers < (3, 5, 0)
