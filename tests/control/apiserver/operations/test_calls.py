"""What surrounds every call: limits in flight, limits of time, health, and how a server lets go of its clients."""

import asyncio
import contextlib

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from minik8s.api.errors import StatusError
from minik8s.api.request import Request
from minik8s.control.apiserver.audit.event import Origin
from minik8s.control.apiserver.authn import ADMIN, User
from minik8s.control.apiserver.authz.attributes import of_request
from minik8s.control.apiserver.calls import Calls, CallsConfig, parse_timeout
from minik8s.control.apiserver.inflight import InFlightConfig
from minik8s.control.apiserver.metrics import Metrics
from minik8s.kit import health
from minik8s.kit.clock import SystemClock

from ..harness import scenario

BOB = User("bob", ("system:authenticated",))


class World:
    def __init__(self, **config):
        self.registry = CollectorRegistry()
        metrics = Metrics(self.registry, lambda request: request.resource == "pods")
        self.calls = Calls(CallsConfig(**config), metrics, clock=SystemClock())

    def serving(self, verb="get", user=BOB, resource="pods", **query):
        request = Request(verb, "", "v1", resource, "default", "a", query=query)
        return self.calls.serving(of_request(user, request), request, Origin("/"), "id")

    def metrics(self):
        return generate_latest(self.registry).decode()


@scenario
async def test_beyond_the_limit_is_429_for_all_but_administrators_and_watches():
    world = World(in_flight=InFlightConfig(read_only_max=2, mutating_max=1))
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(world.serving("list"))
        await stack.enter_async_context(world.serving("create"))
        for verb in ("get", "patch"):
            with pytest.raises(StatusError, match="Too many requests, please try again later") as caught:
                async with world.serving(verb):
                    pass
            assert (caught.value.code, caught.value.retry_after_s) == (429, 1)
        await stack.enter_async_context(world.serving("get", user=ADMIN))
        await stack.enter_async_context(world.serving("watch"))
    assert world.calls.in_flight.total == world.calls.long_running == 0
    async with world.serving("get"):
        pass
    assert 'apiserver_request_terminations_total{code="429"' in world.metrics()


@pytest.mark.parametrize("query", [{}, {"timeout": "10ms"}], ids=["the server's", "the client's"])
@scenario
async def test_what_takes_too_long_is_504(query):
    world = World(request_timeout_s=60.0 if query else 0.01)
    with pytest.raises(StatusError, match="request did not complete within requested timeout") as caught:
        async with world.serving(**query):
            await asyncio.sleep(5)
    assert (caught.value.code, caught.value.reason) == (504, "Timeout")
    async with world.serving("watch"):
        await asyncio.sleep(0.03)


@pytest.mark.parametrize(("text", "seconds"), [("0", 0), ("5s", 5), ("1m30s", 90), ("1.5h", 5400), ("250ms", 0.25)])
def test_timeouts_are_durations_of_go(text, seconds):
    assert parse_timeout(text) == seconds


@pytest.mark.parametrize("text", ["5", "s", "1s2", "-1s", "1 s", "1d"])
def test_what_is_no_duration_is_400(text):
    with pytest.raises(StatusError, match="time: invalid duration") as caught:
        parse_timeout(text)
    assert caught.value.code == 400


@scenario
async def test_metrics_have_upstreams_names_and_no_labels_of_clients_making():
    world = World()
    for verb, resource in (("get", "pods"), ("create", "pods"), ("get", "made-up"), ("patch", "pods")):
        async with world.serving(verb, resource=resource):
            pass
    with pytest.raises(StatusError):
        async with world.serving("list"):
            raise StatusError("NotFound", "x")
    text = world.metrics()
    for verb in ("GET", "POST", "PATCH", "LIST"):
        assert f'verb="{verb}"' in text
    assert "made-up" not in text
    assert 'code="404"' in text
    assert "apiserver_request_duration_seconds_bucket{" in text


@scenario
async def test_a_server_that_drains_takes_no_new_watches():
    world = World()
    world.calls.is_draining = True
    with pytest.raises(StatusError, match="shutting down") as caught:
        async with world.serving("watch"):
            pass
    assert caught.value.code == 503
    async with world.serving("create"):
        pass


def sick():
    return "no leader"


@pytest.mark.parametrize(
    ("path", "query", "code", "text"),
    [
        ("/readyz", {}, 500, "[+]ping ok\n[-]etcd failed: no leader\nreadyz check failed\n"),
        ("/readyz", {"exclude": ["etcd"]}, 200, "ok"),
        (
            "/readyz",
            {"exclude": ["etcd", "x"], "verbose": [""]},
            200,
            "[+]ping ok\n[+]etcd excluded: ok\n"
            'warn: some health checks cannot be excluded: no matches for "x"\nreadyz check passed\n',
        ),
        ("/readyz/etcd", {}, 500, "internal server error: no leader\n"),
        ("/readyz/ping", {}, 200, "ok"),
        ("/livez", {"verbose": [""]}, 200, "[+]ping ok\nlivez check passed\n"),
        ("/healthz", {}, 200, "ok"),
    ],
)
def test_health_reads_as_upstreams(path, query, code, text):
    assert health.examine(path, query, {"etcd": sick}) == health.Health(code, text)


def test_in_public_the_reasons_are_withheld():
    found = health.examine("/readyz", {}, {"etcd": sick}, is_public=True)
    assert found and "[-]etcd failed: reason withheld\n" in found.text
    assert health.examine("/readyz/nothing", {}, {}) is None
