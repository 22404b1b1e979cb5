"""Flags about who may do what: modes, and the kubeconfig of a webhook, spoken to as it says."""

import asyncio
import random
from pathlib import Path

import click
import pytest
import yaml
from aiohttp import web

from minik8s.cli.authorization_flags import authorization
from minik8s.control.apiserver.authn import User
from minik8s.control.apiserver.authz.attributes import Attributes
from minik8s.control.apiserver.authz.webhook import WebhookAuthorizer
from minik8s.kit.clock import SystemClock
from minik8s.kit.tls import Authority, server_context


def flags(mode, file=None):
    return {
        "authorization_mode": mode,
        "authorization_webhook_config_file": file,
        "authorization_webhook_cache_authorized_ttl": 300.0,
        "authorization_webhook_cache_unauthorized_ttl": 30.0,
    }


def kubeconfig(path: Path, cluster, user=None):
    config = {
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user or {}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.mark.parametrize(
    ("mode", "why"),
    [
        ("ABAC", '--authorization-mode: "ABAC" is not a mode'),
        ("RBAC,RBAC", '--authorization-mode: "RBAC" is given twice'),
        ("Webhook", "--authorization-mode Webhook and --authorization-webhook-config-file come together"),
    ],
)
def test_modes_that_make_no_sense_are_refused(mode, why):
    with pytest.raises(click.UsageError, match=why):
        authorization(flags(mode))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[]", "it is no kubeconfig"),
        ("a: b", 'contexts has no ""'),
        ("{", "cannot read"),
        ("current-context: x\ncontexts: [1]", "has no attribute"),
        ("current-context: x\ncontexts: [{name: x, context: {cluster: c}}]\nclusters: []", 'clusters has no "c"'),
    ],
)
def test_a_file_that_is_no_kubeconfig_is_refused(tmp_path, text, why):
    path = tmp_path / "webhook.yaml"
    path.write_text(text)
    with pytest.raises(click.UsageError, match=why):
        authorization(flags("RBAC,Webhook", path))


def test_a_webhook_is_spoken_to_over_tls_with_our_certificate_and_token(tmp_path):
    authority = Authority(tmp_path)
    serving = authority.issue("serving", user="webhook", hosts=["127.0.0.1"])
    client = authority.issue("client", user="apiserver")
    seen = []

    async def serve(request):
        seen.append((request.headers["Authorization"], request.get_extra_info("peercert")["subject"]))
        return web.json_response({"status": {"allowed": True}})

    async def main():
        app = web.Application()
        app.router.add_post("/", serve)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server_context(serving)).start()
        cluster = {"server": f"https://127.0.0.1:{runner.addresses[0][1]}/", "certificate-authority": "ca.crt"}
        user = {"token": "t", "client-certificate": client.cert_file.name, "client-key": client.key_file.name}
        modes, config = authorization(flags("Webhook", kubeconfig(tmp_path / "webhook.yaml", cluster, user)))
        assert modes == ("Webhook",)
        authorizer = WebhookAuthorizer(config, clock=SystemClock(), rng=random.Random(1))
        try:
            verdict = await authorizer.authorize(Attributes(User("bob"), "get", path="/x"))
        finally:
            await authorizer.close()
            await runner.cleanup()
        assert verdict.is_allowed, verdict
        assert seen == [("Bearer t", ((("commonName", "apiserver"),),))]

    asyncio.run(asyncio.wait_for(main(), 20))
