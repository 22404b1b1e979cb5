"""Decisions of RBAC over a real watch cache: bindings, subjects, the first policy, random policies."""

import asyncio
import contextlib
import random

import msgspec
import pytest

from minik8s.api.errors import StatusError
from minik8s.api.request import JSON, MERGE_PATCH, Request
from minik8s.control.apiserver.authn import ADMIN, ANONYMOUS, User
from minik8s.control.apiserver.authz.attributes import Attributes, Decision, of_request, require
from minik8s.control.apiserver.authz.bootstrap_policy import parse_rule
from minik8s.control.apiserver.authz.modes import parse
from minik8s.control.apiserver.core import Core, CoreConfig
from minik8s.kit.clock import SystemClock
from tests.control.apiserver.harness import local_core, local_store, scenario

RBAC = "rbac.authorization.k8s.io"
AUTHENTICATED = "system:authenticated"
BOB = User("bob", ("team", AUTHENTICATED))
ROBOT = User("system:serviceaccount:default:robot", ("system:serviceaccounts", AUTHENTICATED))


async def write(core, verb, plural, namespace="", name="", **document):
    if name and verb == "create":
        document["metadata"] = {"name": name}
    kind = MERGE_PATCH if verb == "patch" else JSON
    target = "" if verb == "create" else name
    request = Request(
        verb, RBAC, "v1", plural, namespace, target, body=msgspec.json.encode(document), content_type=kind
    )
    return await core.api.as_user(ADMIN).call(request)


async def bind(core, role, *subjects, namespace="", kind="ClusterRole", name="b"):
    plural = "rolebindings" if namespace else "clusterrolebindings"
    ref = {"kind": kind, "name": role, "apiGroup": RBAC}
    return await write(core, "create", plural, namespace, name, roleRef=ref, subjects=list(subjects))


def user(name):
    return {"kind": "User", "name": name}


def pods(user, verb="get", namespace="default"):
    return Attributes(user, verb, "", "v1", "pods", "", namespace, "" if verb == "list" else "a")


async def allowed(core, attributes):
    return (await core.authorizer.authorize(attributes)).is_allowed


@scenario
async def test_a_cluster_binding_holds_everywhere_and_a_binding_in_its_namespace():
    async with local_core() as core:
        await write(core, "create", "clusterroles", name="r", rules=[parse_rule("get,list pods")])
        await bind(core, "r", user("bob"), namespace="default")
        assert await allowed(core, pods(BOB))
        assert not await allowed(core, pods(BOB, namespace="kube-system"))
        assert not await allowed(core, pods(BOB, "list", namespace=""))
        await bind(core, "r", {"kind": "Group", "name": "team"})
        assert await allowed(core, pods(BOB, namespace="kube-system"))
        assert await allowed(core, pods(BOB, "list", namespace=""))
        assert not await allowed(core, pods(ROBOT))


@pytest.mark.parametrize(
    ("subject", "who"),
    [
        ({"kind": "User", "name": "bob"}, BOB),
        ({"kind": "Group", "name": "team"}, BOB),
        ({"kind": "ServiceAccount", "name": "robot", "namespace": "default"}, ROBOT),
        ({"kind": "User", "name": "system:serviceaccount:default:robot"}, ROBOT),
        ({"kind": "Group", "name": "system:serviceaccounts"}, ROBOT),
    ],
)
@scenario
async def test_subjects_are_users_groups_and_service_accounts(subject, who):
    async with local_core() as core:
        assert not await allowed(core, pods(who))
        await write(core, "create", "roles", "default", "r", rules=[parse_rule("get pods")])
        await bind(core, "r", subject, namespace="default", kind="Role")
        assert await allowed(core, pods(who))
        assert [await allowed(core, pods(each)) for each in (ANONYMOUS, User("eve"))] == [False, False]


@scenario
async def test_the_first_request_after_a_write_goes_by_it():
    async with local_core() as core:
        for verb in ("get", "watch"):
            await write(core, "create", "roles", "default", "r", rules=[parse_rule(f"{verb} pods")])
            await bind(core, "r", user("bob"), namespace="default", kind="Role")
            assert await allowed(core, pods(BOB, verb))
            await write(core, "patch", "roles", "default", "r", rules=[parse_rule("delete pods")])
            assert not await allowed(core, pods(BOB, verb))
            assert await allowed(core, pods(BOB, "delete"))
            await write(core, "delete", "rolebindings", "default", "b")
            assert not await allowed(core, pods(BOB, "delete"))
            await write(core, "delete", "roles", "default", "r")


@scenario
async def test_a_refusal_says_who_cannot_do_what_where_and_which_role_is_missing():
    async with local_core() as core:
        handler = core.api.as_user(BOB)
        with pytest.raises(StatusError) as caught:
            await handler.call(Request("list", "apps", "v1", "deployments", "default"))
        refused = 'deployments.apps is forbidden: User "bob" cannot list resource "deployments" in API group "apps" '
        assert caught.value.message == refused + 'in the namespace "default"'
        await bind(core, "gone", user("bob"))
        with pytest.raises(StatusError) as caught:
            await handler.call(Request("list", "apps", "v1", "deployments"))
        missing = ': RBAC: clusterrole.rbac.authorization.k8s.io "gone" not found'
        assert caught.value.message == refused + "at the cluster scope" + missing
        with pytest.raises(StatusError) as caught:
            await handler.watch(Request("watch", "", "v1", "pods", "default"))
        assert caught.value.code == 403


@scenario
async def test_a_role_in_a_namespace_may_let_one_read_that_namespace():
    async with local_core() as core:
        await bind(core, "view", user("bob"), namespace="default")
        handler = core.api.as_user(BOB)
        await handler.call(Request("get", "", "v1", "namespaces", name="default"))
        with pytest.raises(StatusError, match=r'in the namespace "kube-system"$'):
            await handler.call(Request("get", "", "v1", "namespaces", name="kube-system"))
        with pytest.raises(StatusError, match="at the cluster scope"):
            await handler.call(Request("list", "", "v1", "namespaces"))


@pytest.mark.parametrize("verb", ["list", "watch", "deletecollection"])
@pytest.mark.parametrize(
    ("name", "selector", "expected"),
    [
        ("", "metadata.name=own", {"own"}),
        ("own", "", {"own"}),
        ("own", "metadata.name=own", {"own"}),
        ("", "", 403),
        ("", "metadata.name=other", 403),
        ("", "metadata.name!=own", 403),
        ("", r"type!=a\,metadata.name=own", 403),
        ("other", "metadata.name=own", 403),
        ("own", "metadata.name=other", 400),
        ("own", "type=Opaque", 400),
        ("", "metadata.name=own,metadata.name=other", set()),
    ],
)
@scenario
async def test_who_may_have_one_by_its_name_gets_no_other(verb, name, selector, expected):
    async with local_core() as core:
        rules = [parse_rule("list,watch,deletecollection secrets =own")]
        await write(core, "create", "clusterroles", name="r", rules=rules)
        await bind(core, "r", user("bob"), namespace="default")
        admin, bob = core.api.as_user(ADMIN), core.api.as_user(BOB)
        for each in ("own", "other"):
            body = msgspec.json.encode({"metadata": {"name": each}})
            await admin.call(Request("create", "", "v1", "secrets", "default", body=body))
        query = {"fieldSelector": selector, "resourceVersion": "0"} if selector else {"resourceVersion": "0"}
        await core.api.reader.reached()
        request = Request(verb, "", "v1", "secrets", "default", name, query=query)
        try:
            found = await (seen if verb == "watch" else listed)(bob, request)
        except StatusError as error:
            assert error.code == expected
            found = set()
        else:
            assert found == expected
        left = await listed(admin, Request("list", "", "v1", "secrets", "default"))
        assert left == {"own", "other"} - (found if verb == "deletecollection" else set())


async def listed(handler, request):
    answer = msgspec.json.decode((await handler.call(request)).body)
    return {each["metadata"]["name"] for each in answer["items"]}


async def seen(handler, request):
    watcher = await handler.watch(request)
    names = set()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.05):
            async for event in watcher:
                names.add(msgspec.json.decode(event.object)["metadata"]["name"])
    await watcher.close()
    return names


@scenario
async def test_before_the_roles_are_read_nobody_is_refused_for_good():
    async with local_store() as store:
        core = Core(CoreConfig(), store, clock=SystemClock(), rng=random.Random(1))
        with pytest.raises(StatusError) as caught:
            await core.api.as_user(BOB).call(Request("list", "", "v1", "pods", "default"))
        assert (caught.value.code, caught.value.retry_after_s) == (503, 1)


@scenario
async def test_what_allowed_it_is_said():
    async with local_core() as core:
        await bind(core, "view", {"kind": "ServiceAccount", "name": "robot"}, namespace="default")
        verdict = await core.authorizer.authorize(pods(ROBOT))
        reason = 'RBAC: allowed by RoleBinding "b/default" of ClusterRole "view" to ServiceAccount "robot/default"'
        assert verdict == (Decision.ALLOW, reason, "")


@pytest.mark.parametrize(
    ("who", "verb", "path", "expected"),
    [
        (ANONYMOUS, "get", "/version", True),
        (ANONYMOUS, "get", "/readyz", True),
        (ANONYMOUS, "get", "/apis", False),
        (ANONYMOUS, "get", "/metrics", False),
        (ANONYMOUS, "get", "/versions", False),
        (BOB, "get", "/apis", True),
        (BOB, "get", "/openapi/v3", True),
        (BOB, "post", "/apis", False),
        (BOB, "get", "/metrics", False),
        (User("p", ("system:monitoring",)), "get", "/metrics", True),
        (ADMIN, "get", "/metrics", True),
        (ROBOT, "get", "/.well-known/openid-configuration", True),
        (BOB, "get", "/.well-known/openid-configuration", False),
    ],
)
@scenario
async def test_paths_that_are_no_resources(who, verb, path, expected):
    async with local_core() as core:
        attributes = Attributes(who, verb, path=path)
        assert await allowed(core, attributes) is expected
        if not expected:
            with pytest.raises(StatusError) as caught:
                await require(core.authorizer, attributes)
            assert caught.value.message == f'forbidden: User "{who.name}" cannot {verb} path "{path}"'


@pytest.mark.parametrize(
    ("who", "verb", "group", "resource", "expected"),
    [
        ("system:kube-scheduler", "list", "", "pods", True),
        ("system:kube-scheduler", "create", "", "pods/binding", True),
        ("system:kube-scheduler", "update", "storage.k8s.io", "storageclasses", False),
        ("system:kube-scheduler", "list", "", "secrets", False),
        ("system:kube-scheduler", "create", "", "pods", False),
        ("system:kube-controller-manager", "create", "", "pods", True),
        ("system:kube-controller-manager", "patch", "apps", "deployments/status", True),
        ("system:kube-controller-manager", "create", "rbac.authorization.k8s.io", "clusterrolebindings", False),
        ("system:kube-proxy", "watch", "discovery.k8s.io", "endpointslices", True),
        ("system:kube-proxy", "list", "", "configmaps", False),
        ("system:kube-proxy", "patch", "", "services", False),
        ("system:serviceaccount:kube-system:job-controller", "create", "", "pods", True),
        ("bob", "list", "", "pods", False),
        ("bob", "create", "authorization.k8s.io", "selfsubjectaccessreviews", True),
    ],
)
@scenario
async def test_components_have_upstreams_roles(who, verb, group, resource, expected):
    async with local_core() as core:
        plural, _, subresource = resource.partition("/")
        request = Request(verb, group, "v1", plural, "default", "a", subresource)
        assert await allowed(core, of_request(User(who, (AUTHENTICATED,)), request)) is expected


@pytest.mark.parametrize(
    ("mode", "who", "expected"),
    [
        ("AlwaysAllow", ANONYMOUS, True),
        ("AlwaysDeny", BOB, False),
        ("AlwaysDeny", ADMIN, True),
        ("RBAC,AlwaysAllow", ANONYMOUS, True),
        ("RBAC", ANONYMOUS, False),
    ],
)
@scenario
async def test_modes_are_asked_in_order(mode, who, expected):
    async with local_core(config=CoreConfig(authorization_modes=parse(mode))) as core:
        assert await allowed(core, pods(who)) is expected


@pytest.mark.parametrize("text", ["RBAC,RBAC", "ABAC", "", "rbac"])
def test_modes_that_are_none(text):
    with pytest.raises(ValueError, match=r"mode|twice"):
        parse(text)


def naive(documents, attributes):
    """RBAC by its definition: some binding of the place has the user and a role with a rule that matches."""
    who, groups = attributes.user.name, attributes.user.groups
    for (plural, namespace, _), binding in documents.items():
        if not plural.endswith("bindings") or namespace not in ("", attributes.namespace):
            continue
        named = any(
            subject["name"] == who if subject["kind"] == "User" else subject["name"] in groups
            for subject in binding["subjects"]
        )
        ref = binding["roleRef"]
        kind, place = ("roles", namespace) if ref["kind"] == "Role" else ("clusterroles", "")
        role = documents.get((kind, place, ref["name"]), {"rules": []})
        for each in role["rules"] if named else ():
            full = f"{attributes.resource}/{attributes.subresource}".rstrip("/")
            resources = {full, "*"} | ({f"*/{attributes.subresource}"} if attributes.subresource else set())
            names = each.get("resourceNames")
            if (
                {attributes.verb, "*"} & set(each["verbs"])
                and {attributes.group, "*"} & set(each["apiGroups"])
                and resources & set(each["resources"])
                and (not names or attributes.name in names)
            ):
                return True
    return False


@scenario
async def test_decisions_equal_the_definition_whatever_the_policy():
    rng = random.Random(4)
    some = lambda *values: rng.sample(values, rng.randint(1, 2))  # noqa: E731
    async with local_core() as core:
        documents = {}
        for _ in range(60):
            namespace = rng.choice(["", "default"])
            plural = rng.choice(["roles", "rolebindings"]) if namespace else rng.choice(["r", "b"])
            plural = {"r": "clusterroles", "b": "clusterrolebindings"}.get(plural, plural)
            name = rng.choice("abc")
            if (plural, namespace, name) in documents:
                await write(core, "delete", plural, namespace, name)
                del documents[plural, namespace, name]
            elif plural.endswith("bindings"):
                kind = rng.choice(["Role", "ClusterRole"]) if namespace else "ClusterRole"
                subjects = [{"kind": rng.choice(["User", "Group"]), "name": each} for each in some("u", "g", "h")]
                document = {"roleRef": {"kind": kind, "name": rng.choice("abc")}, "subjects": subjects}
                documents[plural, namespace, name] = document
                await write(core, "create", plural, namespace, name, **document)
            else:
                rule = {
                    "verbs": some("get", "list", "*"),
                    "apiGroups": some("", "apps", "*"),
                    "resources": some("pods", "pods/log", "*/log", "*"),
                }
                if rng.random() < 0.3:
                    rule["resourceNames"] = some("a", "b")
                documents[plural, namespace, name] = {"rules": [rule]}
                await write(core, "create", plural, namespace, name, rules=[rule])
            for _ in range(20):
                request = Attributes(
                    User(rng.choice("ug"), tuple(some("g", "h"))),
                    rng.choice(["get", "list", "delete"]),
                    rng.choice(["", "apps"]),
                    "v1",
                    rng.choice(["pods", "nodes"]),
                    rng.choice(["", "log"]),
                    rng.choice(["", "default"]),
                    rng.choice(["", "a"]),
                )
                assert await allowed(core, request) is naive(documents, request), (documents, request)
