"""A webhook that knows tokens: a true little one on loopback."""

import random

import pytest
from aiohttp import web

from minik8s.control.apiserver.asker import WebhookConfig
from minik8s.control.apiserver.authn.readers import Refused
from minik8s.control.apiserver.authn.tokenwebhook import TokenWebhook
from minik8s.control.apiserver.authn.users import User
from minik8s.kit.clock import SystemClock

from ..harness import scenario


class Clock(SystemClock):
    passed_s = 0.0

    def monotonic_s(self):
        return self.passed_s


class LittleWebhook:
    """Answers what it is told to, and remembers what it was asked."""

    def __init__(self):
        self.answer, self.asked, self.clock = {}, [], Clock()

    async def serve(self, request):
        assert request.headers["Authorization"] == "Bearer ours"
        self.asked.append((await request.json())["spec"])
        if self.answer is None:
            return web.Response(status=503)
        return web.json_response({"kind": "TokenReview", "status": self.answer})

    def reader(self):
        url = f"http://127.0.0.1:{self.port}/"
        config = WebhookConfig(url, token="ours", allowed_ttl_s=120, denied_ttl_s=120, first_wait_s=0.001)
        return TokenWebhook(config, ("api",), clock=self.clock, rng=random.Random(1))


def at_webhook(test):
    """An async test beside a little webhook."""

    @scenario
    async def run():
        hook = LittleWebhook()
        app = web.Application()
        app.router.add_post("/", hook.serve)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            hook.port = runner.addresses[0][1]
            reader = hook.reader()
            await test(hook, reader)
            await reader.close()
        finally:
            await runner.cleanup()

    def called():
        run()

    called.__name__ = test.__name__
    return called


BOB = {"username": "bob", "uid": "7", "groups": ["a"], "extra": {"k": ["v"]}}


@at_webhook
async def test_it_names_the_user_and_is_asked_once_in_two_minutes(hook, reader):
    hook.answer = {"authenticated": True, "user": BOB}
    for _ in range(3):
        verified = await reader.read("t", ["api"])
        assert (verified.user, verified.audiences) == (User("bob", ("a",), "7", {"k": ("v",)}), ("api",))
    assert hook.asked == [{"token": "t", "audiences": ["api"]}]
    hook.clock.passed_s = 121
    hook.answer = {"authenticated": False}
    assert await reader.read("t", ["api"]) is None
    assert len(hook.asked) == 2


@at_webhook
async def test_audiences_count(hook, reader):
    hook.answer = {"authenticated": True, "user": BOB}
    with pytest.raises(Refused, match="other audiences"):  # It says none: it means this API.
        await reader.read("t", ["vault"])
    hook.answer = {"authenticated": True, "user": BOB, "audiences": ["vault"]}
    assert (await reader.read("u", ["vault", "x"])).audiences == ("vault",)
    with pytest.raises(Refused, match="other audiences"):
        await reader.read("u", ["api"])


@at_webhook
async def test_what_is_no_answer_names_nobody(hook, reader):
    wrong = [{"authenticated": "yes"}, {"authenticated": True, "user": {"username": 5}}, [], {"error": "no"}, None]
    for number, hook.answer in enumerate(wrong):
        with pytest.raises(Refused):
            await reader.read(f"t{number}", ["api"])
    for number, hook.answer in enumerate([{}, {"authenticated": True}, {"authenticated": True, "user": {}}]):
        assert await reader.read(f"u{number}", ["api"]) is None
    assert len([spec for spec in hook.asked if spec["token"] == "t4"]) == 5  # It may come back.
