"""The tokens a kubelet keeps for its pods."""

import asyncio
from datetime import UTC, datetime

import msgspec
import pytest

from minik8s.api.core_v1 import ServiceAccountTokenProjection
from minik8s.api.errors import StatusError
from minik8s.api.request import Response
from minik8s.client.client import Client
from minik8s.kit.clock import SystemClock
from minik8s.node.kubelet import volumes
from minik8s.node.kubelet.fields import Addresses
from minik8s.node.kubelet.tokens import TokenKeeper
from tests.node.kubelet.factories import make_pod

ADDRESSES = Addresses(pod_ip="127.9.0.2", host_ip="10.0.0.1", allocatable={})
PART = {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}}
VOLUME = {"name": "v", "projected": {"sources": [PART]}}


class Clock(SystemClock):
    now = 1_000_000.0

    def now_s(self):
        return self.now


class Api:
    """A transport that answers TokenRequests with numbered tokens, as long as they are asked for."""

    def __init__(self, clock):
        self.clock, self.requests = clock, []

    async def call(self, request):
        spec = msgspec.json.decode(request.body)["spec"]
        self.requests.append((request.namespace, request.name, request.subresource, spec))
        if request.name == "refused":
            raise StatusError("Forbidden", "no token for you")
        expires = datetime.fromtimestamp(self.clock.now + spec["expirationSeconds"], UTC)
        status = {"token": f"t{len(self.requests)}", "expirationTimestamp": expires.strftime("%Y-%m-%dT%H:%M:%SZ")}
        return Response(msgspec.json.encode({"kind": "TokenRequest", "status": status}), code=201)


def keeper():
    clock = Clock()
    api = Api(clock)
    return TokenKeeper(Client(api, field_manager="kubelet"), clock), api, clock


def get(tokens, pod, **source):
    projection = ServiceAccountTokenProjection(**({"path": "token", "expirationSeconds": 3600} | source))
    return asyncio.run(tokens.get(pod, projection))


def test_a_token_is_bound_to_its_pod():
    tokens, api, _ = keeper()
    pod = make_pod(serviceAccountName="robot")
    assert get(tokens, pod, audience="vault") == "t1"
    ((namespace, name, subresource, spec),) = api.requests
    assert (namespace, name, subresource) == (pod.metadata.namespace, "robot", "token")
    bound = {"apiVersion": "v1", "kind": "Pod", "name": pod.metadata.name, "uid": pod.metadata.uid}
    assert spec == {"boundObjectRef": bound, "expirationSeconds": 3600, "audiences": ["vault"]}


def test_a_token_is_kept_until_four_fifths_of_its_life_are_over():
    tokens, _, clock = keeper()
    pod = make_pod()
    assert get(tokens, pod) == "t1"
    clock.now += 2800
    assert get(tokens, pod) == "t1"
    clock.now += 100
    assert get(tokens, pod) == "t2"


def test_a_token_that_lives_for_years_is_renewed_every_day():
    tokens, _, clock = keeper()
    pod = make_pod()
    get(tokens, pod, expirationSeconds=10 * 365 * 86400)
    clock.now += 86401
    assert get(tokens, pod, expirationSeconds=10 * 365 * 86400) == "t2"


def test_each_audience_has_its_own_and_all_go_with_the_pod():
    tokens, _, _ = keeper()
    pod = make_pod()
    assert [get(tokens, pod), get(tokens, pod, audience="a"), get(tokens, pod)] == ["t1", "t2", "t1"]
    tokens.forget(pod.metadata.uid)
    assert get(tokens, pod) == "t3"


def test_a_refusal_is_told():
    tokens, _, _ = keeper()
    with pytest.raises(StatusError, match="no token for you"):
        get(tokens, make_pod(serviceAccountName="refused"))


@pytest.mark.parametrize(("context", "mode"), [(None, 0o600), ({"runAsUser": 1000}, 0o644)])
def test_nobody_else_reads_a_token_unless_the_container_is_somebody_else(tmp_path, context, mode):
    pod = make_pod(volumes=[VOLUME], securityContext=context)
    ((place, source),) = volumes.token_sources(pod).items()
    assert (place, source.expirationSeconds) == (("v", "token"), 3607)
    for text in ("old", "new"):
        volumes.set_up(tmp_path, pod, {}, {place: text}, ADDRESSES)
        file = tmp_path / "volumes/kubernetes.io~projected/v/token"
        assert (file.read_text(), file.stat().st_mode & 0o777) == (text, mode)
