"""Whatever a client sends, it is told success or a Status error: never a 500, never a hang, never memory that grows.

Each decoder is given what is random, and what was good before it was damaged. One apiserver without sockets serves all.
"""

import asyncio
import base64
import json
import random
from collections.abc import Iterator

import pytest
from control.apiserver.harness import local_core
from control.apiserver.protobuf_encoder import encode
from control.apiserver.resources.kinds import KINDS as RESOURCES
from control.apiserver.seeds import SEEDS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minik8s.api.errors import StatusError
from minik8s.api.request import APPLY_PATCH, JSON, JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH, Request
from minik8s.control.apiserver import protobuf, rest, routes

from .fuzzing import Asking, damaged, resident_bytes

pytestmark = pytest.mark.slow

EXAMPLES = settings(
    max_examples=120, deadline=2000, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SIGNING_REQUEST = base64.b64decode(SEEDS["CertificateSigningRequest"]["spec"]["request"])
PATCHES = [JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH, APPLY_PATCH]
YAML = "application/yaml"
KINDS = [("", "pods"), ("", "services"), ("", "secrets"), ("apps", "deployments"), ("batch", "cronjobs")]
KINDS += [
    ("networking.k8s.io", "ingresses"),
    ("policy", "poddisruptionbudgets"),
    ("autoscaling", "horizontalpodautoscalers"),
]
CLUSTER_KINDS = [("certificates.k8s.io", "certificatesigningrequests"), ("rbac.authorization.k8s.io", "clusterroles")]
CLUSTER_KINDS += [("apiextensions.k8s.io", "customresourcedefinitions"), ("", "nodes"), ("", "persistentvolumes")]
CLUSTER_KINDS += [("admissionregistration.k8s.io", "validatingadmissionpolicies")]
MEMORY_GROWTH_MAX_BYTES = 8 * 1024 * 1024


def words() -> st.SearchStrategy[str]:
    """Names that documents use, and others."""
    known = [
        "apiVersion",
        "kind",
        "metadata",
        "spec",
        "status",
        "name",
        "namespace",
        "labels",
        "data",
        "$patch",
        "",
        "~1",
    ]
    known += ["containers", "ports", "template", "selector", "rules", "finalizers", "$setElementOrder/containers"]
    return st.sampled_from(known) | st.text(max_size=6)


scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=12)
trees = st.recursive(
    scalars, lambda each: st.lists(each, max_size=4) | st.dictionaries(words(), each, max_size=4), max_leaves=12
)
seeds = st.sampled_from(sorted(SEEDS))


@pytest.fixture(scope="module")
def ask() -> Iterator[Asking]:
    with asyncio.Runner() as runner:
        context = local_core()
        core = runner.run(context.__aenter__())
        try:
            yield Asking(runner, core.api)
        finally:
            runner.run(context.__aexit__(None, None, None))


@given(
    kind=st.sampled_from(KINDS),
    content_type=st.sampled_from([JSON, YAML, "", "a/b", f"{JSON};q=1"]),
    body=st.binary(max_size=200),
)
@EXAMPLES
def test_any_bytes_as_a_body(ask: Asking, kind, content_type: str, body: bytes):
    group, plural = kind
    version = "v2" if group == "autoscaling" else "v1"
    ask(Request("create", group, version, plural, "default", body=body, content_type=content_type))


@given(
    kind=st.sampled_from(KINDS + CLUSTER_KINDS),
    tree=st.dictionaries(words(), trees, max_size=6),
    strict=st.sampled_from(["Strict", "Warn", "Ignore"]),
)
@EXAMPLES
def test_any_json_as_an_object(ask: Asking, kind, tree, strict: str):
    group, plural = kind
    version = "v2" if group == "autoscaling" else "v1"
    namespace = "default" if kind in KINDS else ""
    body = {"metadata": {"name": "x"}} | tree
    query = {"fieldValidation": strict, "dryRun": "All"}
    ask(Request("create", group, version, plural, namespace, query=query, body=json.dumps(body).encode()))


@given(kind=seeds, seed=st.integers(0, 2**32), content_type=st.sampled_from([JSON, YAML]))
@EXAMPLES
def test_a_damaged_object(ask: Asking, kind: str, seed: int, content_type: str):
    of = RESOURCES[kind]
    body = damaged(json.dumps(SEEDS[kind]).encode(), seed)
    namespace = "default" if of.namespaced else ""
    query = {"dryRun": "All"}
    ask(Request("create", of.group, of.version, of.plural, namespace, "", "", query, body, content_type))


def test_what_is_refused_is_forgotten(ask: Asking):
    def rounds(count: int) -> None:
        rng = random.Random(1)
        for _ in range(count):
            kind = rng.choice(sorted(SEEDS))
            of, body = RESOURCES[kind], damaged(json.dumps(SEEDS[kind]).encode(), rng.randrange(2**32))
            query = {"dryRun": "All", "labelSelector": body[:20].decode(errors="replace")}
            namespace = "default" if of.namespaced else ""
            ask(Request("create", of.group, of.version, of.plural, namespace, "", "", query, body))
            ask(Request("list", of.group, of.version, of.plural, query=query))

    rounds(1500)  # What is kept once, such as derived types and compiled patterns.
    before = resident_bytes()
    rounds(1500)
    assert resident_bytes() - before < MEMORY_GROWTH_MAX_BYTES


@given(kind=seeds, seed=st.integers(0, 2**32), noise=st.binary(max_size=60))
@EXAMPLES
def test_a_damaged_protobuf(kind: str, seed: int, noise: bytes):
    of = RESOURCES[kind]
    document = {"kind": kind, "apiVersion": of.api_version, "metadata": {"name": "x", "labels": {"a": "b"}}}
    for body in (damaged(encode(document), seed), b"k8s\x00" + noise, noise):
        try:
            json.loads(protobuf.to_json(body))
        except StatusError as error:
            assert error.code in (400, 415)


@given(seed=st.integers(0, 2**32), noise=st.binary(max_size=40))
@EXAMPLES
def test_any_certificate(ask: Asking, seed: int, noise: bytes):
    for pem in (damaged(SIGNING_REQUEST, seed), noise, damaged(base64.b64encode(noise), seed)):
        spec = {"signerName": "kubernetes.io/kube-apiserver-client", "usages": ["client auth"]}
        spec["request"] = base64.b64encode(pem).decode()
        group, plural = "certificates.k8s.io", "certificatesigningrequests"
        body = json.dumps({"metadata": {"name": "x"}, "spec": spec}).encode()
        ask(Request("create", group, "v1", plural, query={"dryRun": "All"}, body=body))
        client = {"url": "https://a.b/c", "caBundle": base64.b64encode(pem).decode()}
        hook = {"name": "a.b.c", "clientConfig": client, "sideEffects": "None", "admissionReviewVersions": ["v1"]}
        body = json.dumps({"metadata": {"name": "x"}, "webhooks": [hook]}).encode()
        group, plural = "admissionregistration.k8s.io", "validatingwebhookconfigurations"
        ask(Request("create", group, "v1", plural, query={"dryRun": "All"}, body=body))


SELECTORS = st.text(alphabet="abk8s=!,()<>/.\\ innotexists-_é\x00", max_size=40) | st.text(max_size=20)


@given(labels=SELECTORS, fields=SELECTORS, verb=st.sampled_from(["list", "watch", "deletecollection"]))
@EXAMPLES
def test_any_selectors(ask: Asking, labels: str, fields: str, verb: str):
    query = {"labelSelector": labels, "fieldSelector": fields, "dryRun": "All"}
    ask(Request(verb, "", "v1", "pods", "default", query=query))


tokens = st.text(max_size=30) | st.binary(max_size=40).map(lambda raw: base64.b64encode(raw).decode())
tokens |= trees.map(lambda tree: base64.urlsafe_b64encode(json.dumps(tree).encode()).decode().rstrip("="))
tokens |= st.builds(
    lambda rv, start: base64.urlsafe_b64encode(
        json.dumps({"v": "meta.k8s.io/v1", "rv": rv, "start": start}).encode()
    ).decode(),
    st.integers(-(2**70), 2**70) | st.text(max_size=3),
    st.text(max_size=10) | st.just("../../secrets/"),
)
numbers = st.integers(-(2**70), 2**70).map(str) | st.text(max_size=6)


@given(token=tokens, limit=numbers)
@EXAMPLES
def test_any_continue_token(ask: Asking, token: str, limit: str):
    ask(Request("list", "", "v1", "namespaces", query={"continue": token, "limit": limit}))


@given(
    query=st.dictionaries(
        st.sampled_from(
            [
                "resourceVersion",
                "resourceVersionMatch",
                "limit",
                "timeoutSeconds",
                "sendInitialEvents",
                "allowWatchBookmarks",
            ]
        ),
        numbers | st.sampled_from(["Exact", "NotOlderThan", "true", "0"]),
    ),
    verb=st.sampled_from(["list", "watch", "get"]),
)
@settings(EXAMPLES, max_examples=60, deadline=8000)  # A revision of the future is waited for, three seconds long.
def test_any_options_of_reads(ask: Asking, query: dict[str, str], verb: str):
    if query.get("resourceVersion", "").lstrip("-").isdecimal() and int(query["resourceVersion"]) > 100:
        query = query | {"resourceVersion": "7"}
    ask(Request(verb, "", "v1", "namespaces", name="default" if verb == "get" else "", query=query))


operations = st.fixed_dictionaries(
    {
        "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "x"]),
        "path": st.sampled_from(["", "/", "/metadata", "/spec/ports/0", "/spec/ports/-", "/data/~1", "/spec"])
        | st.text(max_size=8),
    },
    optional={
        "value": trees,
        "from": st.sampled_from(["", "/spec", "/metadata", "/metadata/name"]) | st.text(max_size=8),
    },
)
merges = st.dictionaries(words(), trees, max_size=5)


@given(
    content_type=st.sampled_from(PATCHES), patch=st.lists(operations, max_size=5) | merges, raw=st.binary(max_size=30)
)
@EXAMPLES
def test_any_patch(ask: Asking, content_type: str, patch, raw: bytes):
    for plural, name, group in (("services", "kubernetes", ""), ("namespaces", "default", "")):
        namespace = "default" if plural == "services" else ""
        query = {"fieldManager": "m", "dryRun": "All"}
        for body in (json.dumps(patch).encode(), raw):
            ask(
                Request(
                    "patch", group, "v1", plural, namespace, name, query=query, body=body, content_type=content_type
                )
            )


@given(patch=merges, content_type=st.sampled_from([MERGE_PATCH, STRATEGIC_MERGE_PATCH, APPLY_PATCH]))
@EXAMPLES
def test_any_patch_of_a_spec(ask: Asking, patch, content_type: str):
    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "kubernetes"}, "spec": patch}
    query = (
        {"fieldManager": "m", "dryRun": "All", "force": "true"} if content_type == APPLY_PATCH else {"dryRun": "All"}
    )
    data = json.dumps(body).encode()
    ask(Request("patch", "", "v1", "services", "default", "kubernetes", "", query, data, content_type))


@given(
    body=st.binary(max_size=40)
    | st.dictionaries(words(), trees, max_size=4).map(lambda tree: json.dumps(tree).encode())
)
@EXAMPLES
def test_any_options_of_a_deletion(ask: Asking, body: bytes):
    ask(Request("delete", "", "v1", "services", "default", "kubernetes", query={"dryRun": "All"}, body=body))


@given(
    path=st.text(max_size=60)
    | st.lists(words() | st.sampled_from(["api", "apis", "v1", "watch"]), max_size=9).map("/".join),
    method=st.sampled_from(["GET", "POST", "TRACE", "PATCH", ""]),
)
@EXAMPLES
def test_any_path(path: str, method: str):
    try:
        routes.parse(method, f"/{path}", {"watch": "1"} if len(path) % 2 else {})
    except StatusError as error:
        assert error.code < 500


@given(accept=st.text(max_size=60) | st.text(alphabet="application/json;as=Table;v=v1,*q.0 ", max_size=80))
@EXAMPLES
def test_any_accept_header(accept: str):
    try:
        rest.negotiate(accept)
    except StatusError as error:
        assert error.code == 406
