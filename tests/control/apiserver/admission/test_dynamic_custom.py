"""Webhooks and policies on custom kinds: in the version they mean, with custom parameters, merged by the schema."""

import pytest

from control.apiserver.extensions.samples import GADGETS, call, define, definition, gadget, version
from control.apiserver.harness import ADMIN, local_api, scenario
from minik8s.api.errors import StatusError

from . import test_mutating_policies, test_validating_policies
from .test_webhooks import install
from .webhook_server import answer, saying, webhook_server

RULE = {"apiGroups": ["example.com"], "apiVersions": ["v2"], "resources": ["gadgets"], "operations": ["*"]}
TWO = (version("v1"), version("v2", storage=False))


async def create(api, document, place=GADGETS):
    return await call(api.as_user(ADMIN), "create", place, document=document, namespace="default")


@scenario
async def test_webhooks_see_and_change_custom_objects_in_the_version_they_understand(tmp_path):
    async with local_api() as api, webhook_server(tmp_path) as server:
        await define(api.as_user(ADMIN), definition(*TWO))

        async def paint(request):
            patch = [
                {"op": "replace", "path": "/spec/color", "value": "green"},
                {"op": "add", "path": "/spec/unknown", "value": 1},
            ]
            return answer(request, patch=patch)

        server.handlers |= {"/paint": paint, "/see": saying()}
        await install(
            api, "mutating", {"clientConfig": server.config("/paint"), "rules": [RULE | {"operations": ["CREATE"]}]}
        )
        see = {"clientConfig": server.config("/see"), "rules": [RULE]}
        await install(api, "validating", see, see | {"matchPolicy": "Exact"})
        made = await create(api, gadget("g", count=2))
        assert made["apiVersion"] == "example.com/v1"
        assert made["spec"] == {"count": 2, "color": "green"}  # pruned
        (request,) = server.asked("/paint")
        assert request["object"]["apiVersion"] == "example.com/v2"
        assert request["object"]["spec"] == {"count": 2, "color": "red"}  # with defaults
        assert (request["kind"]["version"], request["requestKind"]["version"]) == ("v2", "v1")
        assert [each["object"]["spec"]["color"] for each in server.asked("/see")] == ["green"]
        await call(api.as_user(ADMIN), "delete", GADGETS, namespace="default", name="g")
        assert server.asked("/see")[-1]["oldObject"]["apiVersion"] == "example.com/v2"


@scenario
async def test_what_a_webhook_makes_of_a_custom_object_is_validated_by_its_schema(tmp_path):
    async with local_api() as api, webhook_server(tmp_path) as server:
        await define(api.as_user(ADMIN), definition(*TWO))
        server.handlers["/x"] = saying(patch=[{"op": "replace", "path": "/spec/color", "value": "mauve"}])
        await install(api, "mutating", {"clientConfig": server.config("/x"), "rules": [RULE]})
        with pytest.raises(StatusError, match=r"spec\.color: Unsupported value") as caught:
            await create(api, gadget("g"))
        assert caught.value.code == 422


@scenario
async def test_policies_judge_custom_objects_by_custom_parameters():
    async with local_api() as api:
        await define(api.as_user(ADMIN), definition(*TWO))
        await create(api, gadget("limits", count=3))
        body = test_validating_policies.policy(
            "object.spec.count <= params.spec.count",
            rules=[RULE],
            paramKind={"apiVersion": "example.com/v2", "kind": "Gadget"},
        )
        reference = {"name": "limits", "parameterNotFoundAction": "Deny"}
        await test_validating_policies.install(api, body, paramRef=reference)
        await create(api, gadget("few", count=3))
        with pytest.raises(StatusError, match=r"failed expression: object\.spec\.count <= params\.spec\.count"):
            await create(api, gadget("many", count=4))


@scenario
async def test_policies_merge_configurations_into_custom_objects():
    async with local_api() as api:
        await define(api.as_user(ADMIN), definition(*TWO))
        config = 'Object{spec: Object.spec{labels: {"b": "2"}}}'
        await test_mutating_policies.install(api, test_mutating_policies.policy(config, rules=[RULE]))
        made = await create(api, gadget("g", labels={"a": "1"}))
        assert made["spec"]["labels"] == {"a": "1", "b": "2"}


@scenario
async def test_a_webhook_for_all_groups_judges_kinds_that_come_later(tmp_path):
    async with local_api() as api, webhook_server(tmp_path) as server:
        server.handlers["/no"] = saying(allowed=False)
        rule = {"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["gadgets"], "operations": ["CREATE"]}
        await install(api, "validating", {"clientConfig": server.config("/no"), "rules": [rule]})
        await define(api.as_user(ADMIN), definition(*TWO))
        with pytest.raises(StatusError, match="denied the request"):
            await create(api, gadget("g"))
