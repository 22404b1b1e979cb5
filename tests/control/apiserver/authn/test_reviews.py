"""Reviews of tokens and of oneself."""

import msgspec
import pytest

from minik8s.api.errors import StatusError
from minik8s.api.request import Request
from minik8s.control.apiserver.authn.users import User

from ..harness import ADMIN, local_api, scenario

GROUP = "authentication.k8s.io"


def asking(plural, document):
    return Request("create", GROUP, "v1", plural, body=msgspec.json.encode(document))


@scenario
async def test_a_user_learns_who_they_are():
    user = User("bob", ("devs", "system:masters", "system:authenticated"), "u1", {"scopes": ("a", "b")})
    async with local_api() as api:
        answer = await api.as_user(user).call(
            asking("selfsubjectreviews", {"metadata": {}, "status": {"userInfo": {}}})
        )
    review = msgspec.json.decode(answer.body)
    assert answer.code == 201
    assert review["kind"] == "SelfSubjectReview"
    assert review["status"]["userInfo"] == {
        "username": "bob",
        "uid": "u1",
        "groups": ["devs", "system:masters", "system:authenticated"],
        "extra": {"scopes": ["a", "b"]},
    }


@scenario
async def test_a_token_that_nobody_knows_is_not_authenticated():
    async with local_api() as api:
        answer = await api.as_user(ADMIN).call(asking("tokenreviews", {"spec": {"token": "x"}}))
    review = msgspec.json.decode(answer.body)
    assert not review["status"].get("authenticated")
    assert review["status"]["error"].startswith("invalid bearer token")


@scenario
async def test_a_review_needs_a_token():
    async with local_api() as api:
        with pytest.raises(StatusError) as caught:
            await api.as_user(ADMIN).call(asking("tokenreviews", {"spec": {"token": ""}}))
    assert caught.value.code == 400


@pytest.mark.parametrize("verb", ["get", "list", "watch", "update", "patch", "delete", "deletecollection"])
def test_reviews_can_only_be_created(verb):
    @scenario
    async def check():
        async with local_api() as api:
            request = Request(verb, GROUP, "v1", "tokenreviews", name="x" if verb in ("get", "update") else "")
            with pytest.raises(StatusError) as caught:
                handler = api.as_user(ADMIN)
                await (handler.watch(request) if verb == "watch" else handler.call(request))
            assert caught.value.code == 405

    check()
