"""Controllers for every kind know those that definitions bring, as soon as they are there."""

from control.apiserver.extensions.samples import GADGETS, call, define, definition, gadget, version
from control.apiserver.harness import ADMIN, local_api, scenario
from control.controllers.running import controllers, until
from minik8s.api.errors import StatusError
from minik8s.control.controllers.garbage import GarbageCollector
from minik8s.control.controllers.namespace import NamespaceController

NAMESPACES, CONFIGMAPS = ("", "v1", "namespaces"), ("", "v1", "configmaps")


def owned_by(owner, name):
    reference = {key: owner[key] for key in ("apiVersion", "kind")}
    reference |= {key: owner["metadata"][key] for key in ("name", "uid")}
    return {"metadata": {"name": name, "ownerReferences": [reference | {"blockOwnerDeletion": True}]}}


async def gone(handler, place, **where):
    try:
        await call(handler, "get", place, **where)
    except StatusError as error:
        assert error.reason == "NotFound"
        return True
    return False


@scenario
async def test_dependents_of_a_custom_object_go_with_it():
    async with local_api() as api, controllers(api, GarbageCollector):
        handler = api.as_user(ADMIN)
        await define(handler)
        where = {"namespace": "default"}
        owner = await call(handler, "create", GADGETS, **where, document=gadget("owner"))
        await call(handler, "create", CONFIGMAPS, **where, document=owned_by(owner, "child"))
        child = gadget("child") | owned_by(owner, "child")
        await call(handler, "create", GADGETS, **where, document=child)
        await call(handler, "delete", GADGETS, **where, name="owner")
        await until(lambda: gone(handler, CONFIGMAPS, **where, name="child"))
        await until(lambda: gone(handler, GADGETS, **where, name="child"))


@scenario
async def test_a_custom_object_goes_in_the_foreground():
    async with local_api() as api, controllers(api, GarbageCollector):
        handler = api.as_user(ADMIN)
        await define(handler)
        where = {"namespace": "default"}
        owner = await call(handler, "create", GADGETS, **where, document=gadget("owner"))
        await call(handler, "create", CONFIGMAPS, **where, document=owned_by(owner, "child"))
        options = {"propagationPolicy": "Foreground"}
        await call(handler, "delete", GADGETS, **where, name="owner", document=options)
        await until(lambda: gone(handler, GADGETS, **where, name="owner"))
        assert await gone(handler, CONFIGMAPS, **where, name="child")


@scenario
async def test_dependents_go_when_the_definition_of_their_owner_does():
    async def knows_the_owner():
        return any(informer.items for informer in manager.followed)

    async with local_api() as api, controllers(api, GarbageCollector) as manager:
        handler = api.as_user(ADMIN)
        await define(handler)
        where = {"namespace": "default"}
        owner = await call(handler, "create", GADGETS, **where, document=gadget("owner"))
        await call(handler, "create", CONFIGMAPS, **where, document=owned_by(owner, "child"))
        await until(knows_the_owner)
        crds = ("apiextensions.k8s.io", "v1", "customresourcedefinitions")
        await call(handler, "delete", crds, name="gadgets.example.com")
        await until(lambda: gone(handler, CONFIGMAPS, **where, name="child"))


@scenario
async def test_a_namespace_is_emptied_of_custom_objects():
    async with local_api() as api, controllers(api, NamespaceController):
        handler = api.as_user(ADMIN)
        await define(handler, definition(version(), version("v2", storage=False)))
        await call(handler, "create", NAMESPACES, document={"metadata": {"name": "team"}})
        await call(handler, "create", GADGETS, namespace="team", document=gadget("a"))
        await call(handler, "delete", NAMESPACES, name="team")
        await until(lambda: gone(handler, NAMESPACES, name="team"))
        assert (await call(handler, "list", GADGETS))["items"] == []
