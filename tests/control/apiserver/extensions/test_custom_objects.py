"""Custom kinds from end to end: defined, served, written, read, watched, taken away."""


import pytest

from control.apiserver.extensions.samples import GADGETS, call, define, gadget
from control.apiserver.harness import ADMIN, local_api, scenario
from minik8s.api.errors import StatusError


@scenario
async def test_a_defined_kind_is_served_and_its_objects_live():
    async with local_api() as api:
        handler = api.as_user(ADMIN)
        await define(handler)
        made = await call(handler, "create", GADGETS, namespace="default", document=gadget("g", count=2))
        assert made["spec"] == {"count": 2, "color": "red"}
        assert made["metadata"]["generation"] == 1
        listed = await call(handler, "list", GADGETS)
        assert (listed["kind"], [item["metadata"]["name"] for item in listed["items"]]) == ("GadgetList", ["g"])
        made["spec"]["count"] = 3
        updated = await call(handler, "update", GADGETS, namespace="default", name="g", document=made)
        assert updated["metadata"]["generation"] == 2
        await call(handler, "delete", GADGETS, namespace="default", name="g")
        with pytest.raises(StatusError) as failure:
            await call(handler, "get", GADGETS, namespace="default", name="g")
        assert failure.value.message == 'gadgets.example.com "g" not found'
