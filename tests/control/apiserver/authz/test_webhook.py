"""Mode Webhook: what is asked, what answers mean, how long they are remembered."""

import contextlib
import random

import msgspec
import pytest
from aiohttp import web

from minik8s.api.errors import StatusError
from minik8s.api.request import Request
from minik8s.control.apiserver.asker import WebhookConfig
from minik8s.control.apiserver.authn import ADMIN, User
from minik8s.control.apiserver.authz.attributes import Attributes, Decision
from minik8s.control.apiserver.authz.webhook import WebhookAuthorizer, review
from minik8s.control.apiserver.core import CoreConfig
from minik8s.kit.clock import SystemClock
from tests.control.apiserver.harness import local_core, scenario

BOB = User("bob", ("team",), "u1", {"scopes": ("a",)})


class Clock(SystemClock):
    """Goes on when told."""

    now = 0.0

    def monotonic_s(self):
        return self.now


@contextlib.asynccontextmanager
async def webhook(answer, clock=None):
    """An authorizer, and the questions that it asked; `answer` is a status, or an HTTP code."""
    asked = []

    async def serve(request):
        asked.append(msgspec.json.decode(await request.read()))
        if isinstance(answer, int):
            return web.Response(status=answer)
        return web.json_response({"kind": "SubjectAccessReview", "status": answer})

    app = web.Application()
    app.router.add_post("/authorize", serve)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/authorize"
    authorizer = WebhookAuthorizer(WebhookConfig(url, first_wait_s=0.001), clock=clock or Clock(), rng=random.Random(1))
    try:
        yield authorizer, asked, url
    finally:
        await authorizer.close()
        await runner.cleanup()


def pods(name="a"):
    return Attributes(BOB, "get", "", "v1", "pods", "log", "default", name)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"allowed": True}, (Decision.ALLOW, "", "")),
        ({"allowed": False, "reason": "no"}, (Decision.NO_OPINION, "no", "")),
        ({"allowed": False, "denied": True, "reason": "never"}, (Decision.DENY, "never", "")),
        ({}, (Decision.NO_OPINION, "", "")),
    ],
)
@scenario
async def test_an_answer_is_an_opinion_or_none(answer, expected):
    async with webhook(answer) as (authorizer, asked, _):
        assert await authorizer.authorize(pods()) == expected
        assert asked[0]["spec"] == {
            "user": "bob",
            "groups": ["team"],
            "uid": "u1",
            "extra": {"scopes": ["a"]},
            "resourceAttributes": {
                "namespace": "default",
                "verb": "get",
                "version": "v1",
                "resource": "pods",
                "subresource": "log",
                "name": "a",
            },
        }


@scenario
async def test_an_answer_that_contradicts_itself_is_none():
    async with webhook({"allowed": True, "denied": True}) as (authorizer, _, _):
        verdict = await authorizer.authorize(pods())
        assert verdict.decision is Decision.NO_OPINION
        assert "both allow and deny" in verdict.error


def test_paths_and_selectors_are_asked_about():
    asked = review(Attributes(BOB, "get", path="/metrics"))["spec"]
    assert asked["nonResourceAttributes"] == {"path": "/metrics", "verb": "get"}
    asked = review(Attributes(BOB, "list", resource="pods", field_selector="a=b,c!=d"))["spec"]["resourceAttributes"]
    requirements = [
        {"key": "a", "operator": "In", "values": ["b"]},
        {"key": "c", "operator": "NotIn", "values": ["d"]},
    ]
    assert asked["fieldSelector"] == {"requirements": requirements}


@pytest.mark.parametrize(("allowed", "kept_s"), [(True, 300), (False, 30)])
@scenario
async def test_answers_are_remembered_for_a_while(allowed, kept_s):
    clock = Clock()
    async with webhook({"allowed": allowed}, clock) as (authorizer, asked, _):
        for now, count in ((0, 1), (kept_s - 1, 1), (kept_s, 2)):
            clock.now = now
            await authorizer.authorize(pods())
            assert len(asked) == count
        await authorizer.authorize(pods("b"))
        assert len(asked) == 3


@scenario
async def test_a_webhook_that_fails_is_asked_again_and_then_it_is_an_error():
    async with webhook(500) as (authorizer, asked, url):
        verdict = await authorizer.authorize(pods())
        assert verdict == (Decision.NO_OPINION, "", f'Post "{url}": the webhook answered 500')
        assert len(asked) == 5


@scenario
async def test_modes_before_the_webhook_decide_without_it():
    async with webhook({"allowed": False, "reason": "not you"}) as (_, asked, url):
        config = CoreConfig(authorization_modes=("RBAC", "Webhook"), authorization_webhook=WebhookConfig(url))
        async with local_core(config=config) as core:
            await core.api.as_user(ADMIN).call(Request("list", "", "v1", "pods", "default"))
            assert asked == []
            with pytest.raises(StatusError, match=r'in the namespace "default": not you$') as caught:
                await core.api.as_user(BOB).call(Request("list", "", "v1", "pods", "default"))
            assert (caught.value.code, len(asked)) == (403, 1)
