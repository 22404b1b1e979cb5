"""A webhook over real TLS on loopback, whose behaviour a test chooses by path."""

import base64
import contextlib
import json

from aiohttp import web

from minik8s.kit import tls


class WebhookServer:
    """Serves handlers by path, and remembers what it was asked."""

    def __init__(self, ca_bundle, port):
        self.ca_bundle = ca_bundle
        self.port = port
        self.handlers = {}
        self.reviews = []  # (path, AdmissionReview)

    def config(self, path, **more):
        """A clientConfig that leads to a path."""
        return {"url": f"https://127.0.0.1:{self.port}{path}", "caBundle": self.ca_bundle} | more

    def asked(self, path):
        """The requests that came to a path."""
        return [review["request"] for at, review in self.reviews if at == path]

    async def serve(self, http):
        review = json.loads(await http.read())
        self.reviews.append((http.path, review))
        return await self.handlers[http.path](review["request"])


def answer(request, *, allowed=True, patch=None, **more):
    """An AdmissionReview with a response."""
    response = {"uid": request["uid"], "allowed": allowed} | more
    if patch is not None:
        response |= {"patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(patch).encode()).decode()}
    return web.json_response({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response})


def saying(**said):
    """A handler that always says the same."""

    async def handler(request):
        return answer(request, **said)

    return handler


@contextlib.asynccontextmanager
async def webhook_server(directory, hosts=("127.0.0.1",)):
    """A running server with certificates made in `directory`."""
    authority = tls.Authority(directory)
    identity = authority.issue("webhook", user="webhook", hosts=hosts)
    bundle = base64.b64encode(identity.ca_file.read_bytes()).decode()
    server = WebhookServer(bundle, 0)
    app = web.Application(client_max_size=16 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", server.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls.server_context(identity)).start()
        server.port = runner.addresses[0][1]
        yield server
    finally:
        await runner.cleanup()
