"""Classes of upstream's vulnerabilities that could be ours: what is reached by paths, names, addresses, connections.

Each is named by the first of its kind. Rights and credentials: `test_cve_rights`; costs: `test_cve_bombs`. The table of
all stands in control/DESIGN.md. Left out, for want of the thing: Windows, in-tree volume plugins, cloud credentials.
"""

import base64
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from minik8s.kit.tls import server_context

from .server import RBAC, Server, pod, rule

pytestmark = pytest.mark.slow

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
ROLES = f"/apis/{RBAC}/v1"


def definition(plural: str, *, group: str, scope: str) -> dict:  # type: ignore[type-arg]
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": plural, "kind": plural.title(), "listKind": f"{plural.title()}List"}
    spec = {"group": group, "scope": scope, "names": names, "versions": [version]}
    return {"metadata": {"name": f"{plural}.{group}"}, "spec": spec}


def define(server: Server, plural: str, *, group: str, scope: str) -> str:
    """A custom kind that is served; gives its path."""
    server.make(CRDS, definition(plural, group=group, scope=scope))
    deadline = time.monotonic() + 10
    while server.call("GET", f"/apis/{group}/v1/{plural}").status != 200:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return f"/apis/{group}/v1"


class TestWrongScope:
    """CVE-2019-11247: a role in one namespace reached cluster-scoped objects."""

    def test_a_cluster_scoped_custom_object_has_no_path_in_a_namespace(self, server: Server):
        base = define(server, "globals", group="scope.example", scope="Cluster")
        server.make(f"{base}/globals", {"apiVersion": "scope.example/v1", "kind": "Globals", "metadata": {"name": "g"}})
        server.namespace("scoped")
        server.allow("mallory", "scoped", rule("*", "*", "*"))
        mallory = server.user("mallory")
        for method, name in (("GET", "/g"), ("DELETE", "/g"), ("GET", ""), ("DELETE", "")):
            answer = server.call(method, f"{base}/namespaces/scoped/globals{name}", by=mallory)
            assert answer.status == 404, (method, name)
        assert server.call("GET", f"{base}/globals/g", by=mallory).status == 403
        assert server.call("GET", f"{base}/globals/g").status == 200

    @pytest.mark.parametrize("path", ["nodes", "persistentvolumes", "namespaces"])
    def test_neither_has_a_built_in_one(self, server: Server, path: str):
        server.allow("mallory", "default", rule("*", "*", "*"))
        answer = server.call("GET", f"/api/v1/namespaces/default/{path}", by=server.user("mallory"))
        assert answer.status in (403, 404)

    def test_a_name_in_the_body_does_not_choose_another_namespace(self, server: Server):
        server.namespace("scoped")
        server.allow("mallory", "scoped", rule("*", "*", "*"))
        body = {"metadata": {"name": "x", "namespace": "default"}}
        answer = server.call("POST", "/api/v1/namespaces/scoped/configmaps", body, by=server.user("mallory"))
        assert (answer.status, "namespace" in answer.message) == (400, True)


class TestPathTraversal:
    """CVE-2022-3162, CVE-2015-5305: names that leave their place in the store, or in a component's URL."""

    @pytest.mark.parametrize("name", ["..", ".", "a/b", "a%2Fb", "../../default/settings", "%2e%2e"])
    def test_no_object_has_such_a_name(self, server: Server, name: str):
        for path in ("/api/v1/namespaces/default/configmaps", f"{ROLES}/clusterroles"):
            assert server.call("POST", path, {"metadata": {"name": name}}).status in (400, 422), path

    @pytest.mark.parametrize("step", ["..", "%2e%2e", "%2E%2E%2Fdefault", "..%2F..%2Fdefault%2Fsettings", "%00", "."])
    def test_a_path_with_steps_back_reaches_nothing(self, server: Server, step: str):
        server.make(
            "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "settings"}, "data": {"a": "hidden"}}
        )
        server.namespace("scoped")
        server.allow("mallory", "scoped", rule("*", "*", "*"))
        for path in (
            f"/api/v1/namespaces/scoped/configmaps/{step}",
            f"/api/v1/namespaces/scoped/configmaps/{step}/settings",
            f"/api/v1/namespaces/scoped/configmaps/{step}/{step}/default/settings",
            f"/api/v1/namespaces/{step}/configmaps/settings",
        ):
            answer = server.call("GET", path, by=server.user("mallory"))
            assert answer.status in (400, 403, 404), path
            assert "hidden" not in str(answer.body)

    def test_a_kind_whose_name_begins_alike_is_another_kind(self, server: Server):
        base = define(server, "foos", group="alike.example", scope="Namespaced")
        define(server, "foosbars", group="alike.example", scope="Namespaced")
        secret = {"apiVersion": "alike.example/v1", "kind": "Foosbars", "metadata": {"name": "hidden"}}
        server.make(f"{base}/namespaces/default/foosbars", secret)
        assert server.call("GET", f"{base}/namespaces/default/foos").body["items"] == []
        assert server.call("GET", f"{base}/foos").body["items"] == []


class TestProxyingAndRedirects:
    """CVE-2018-1002105, CVE-2020-8559, CVE-2020-8555: the apiserver's own connections and certificate, misused."""

    def test_after_a_refused_upgrade_the_connection_is_still_the_apiservers(self, server: Server):
        path = "/api/v1/namespaces/default/pods/nope/exec?command=x"
        upgrade = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        after = "GET /runningpods/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        with (
            closing(socket.create_connection(("127.0.0.1", server.port), timeout=10)) as plain,
            closing(server.context(server.user("bob")).wrap_socket(plain, server_hostname="127.0.0.1")) as secure,
        ):
            secure.sendall(upgrade.encode() + after.encode())
            received = b""
            while chunk := secure.recv(65536):
                received += chunk
        codes = [line.split()[1] for line in received.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
        assert codes
        assert set(codes) <= {b"400", b"403", b"404"}

    def test_a_redirect_of_a_kubelet_is_not_followed(self, server: Server):
        reached: list[str] = []
        with leading_away(server, reached) as port:
            addresses = [{"type": "InternalIP", "address": "127.0.0.1"}]
            status = {"addresses": addresses, "daemonEndpoints": {"kubeletEndpoint": {"Port": port}}}
            server.make("/api/v1/nodes", {"metadata": {"name": "rogue"}, "status": status})
            server.make("/api/v1/namespaces/default/pods", pod("led", nodeName="rogue"))
            answer = server.call("GET", "/api/v1/namespaces/default/pods/led/log")
        assert answer.status != 200
        assert reached == ["/containerLogs/default/led/c"]

    @pytest.mark.parametrize(
        "address", ["127.0.0.1", "::1", "169.254.169.254", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "0.0.0.0"]
    )
    def test_no_pod_leads_the_proxy_to_the_apiservers_own_machine(self, server: Server, address: str):
        path = "/api/v1/namespaces/default/pods"
        server.make(path, pod("leading"))
        status = {"status": {"podIP": address, "podIPs": [{"ip": address}]}}
        changed = server.call("PATCH", f"{path}/leading/status", status, Content_Type="application/merge-patch+json")
        if changed.status == 200:
            answer = server.call("GET", f"{path}/leading:{server.port}/proxy/metrics")
            assert (answer.status, answer.message) == (400, "address not allowed")

    def test_a_path_through_the_proxy_has_no_steps_back(self, server: Server):
        for steps in ("..", "%2e%2e", "a/../../x", "%2e%2e%2f%2e%2e"):
            answer = server.call("GET", f"/api/v1/nodes/rogue/proxy/{steps}/exec/default/p/c")
            assert answer.status in (400, 403, 404), steps

    def test_a_redirect_of_a_webhook_is_not_followed(self, server: Server):
        """CVE-2020-8561: what the redirect leads to is read, and told in logs."""
        reached: list[str] = []
        hooks = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
        base = server.namespace("hooked")
        with leading_away(server, reached) as port:
            authority = base64.b64encode(server.serving.ca_file.read_bytes()).decode()
            rules = [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}]
            hook = {
                "name": "leading.example.dev",
                "clientConfig": {"url": f"https://127.0.0.1:{port}/judge", "caBundle": authority},
                "rules": rules,
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "hooked"}},
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
            }
            server.make(hooks, {"metadata": {"name": "leading"}, "webhooks": [hook]})
            deadline = time.monotonic() + 10
            while not reached and time.monotonic() < deadline:
                answer = server.call("POST", f"{base}/configmaps", {"metadata": {"generateName": "x"}})
            server.call("DELETE", f"{hooks}/leading")
        assert answer.status == 500
        assert {path.partition("?")[0] for path in reached} == {"/judge"}

    @pytest.mark.parametrize(
        "path", ["nodes/rogue/proxy", "nodes/rogue/proxy/runningpods", "namespaces/default/pods/p/proxy"]
    )
    def test_nobody_without_rights_is_proxied(self, server: Server, path: str):
        assert server.call("GET", f"/api/v1/{path}", by=server.user("bob")).status in (403, 404)


class TestServices:
    """CVE-2020-8554, CVE-2021-25737: traffic of others, led astray by addresses."""

    def test_external_addresses_can_be_denied(self, server: Server):
        spec = {"ports": [{"port": 80}], "externalIPs": ["1.1.1.1"]}
        answer = server.call(
            "POST", "/api/v1/namespaces/default/services", {"metadata": {"name": "astray"}, "spec": spec}
        )
        assert answer.status == 403

    @pytest.mark.parametrize(
        "address", ["127.0.0.1", "169.254.169.254", "224.0.0.1", "0.0.0.0", "::1", "::ffff:127.0.0.1", "fe80::1"]
    )
    def test_endpoints_lead_to_no_address_of_a_node_itself(self, server: Server, address: str):
        family = "IPv6" if ":" in address else "IPv4"
        piece = {"metadata": {"name": "astray"}, "addressType": family, "endpoints": [{"addresses": [address]}]}
        path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
        assert server.call("POST", path, piece).status == 422


@contextlib.contextmanager
def leading_away(server: Server, reached: list[str]) -> Iterator[int]:
    """A kubelet or webhook that leads who asks it to somewhere else; `reached` are the paths it was asked for."""

    class Leading(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            reached.append(self.path)
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(302)
            self.send_header("Location", f"https://127.0.0.1:{httpd.server_port}/led-astray")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    httpd = HTTPServer(("127.0.0.1", 0), Leading)
    httpd.socket = server_context(server.serving).wrap_socket(httpd.socket, server_side=True)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    try:
        yield httpd.server_port
    finally:
        httpd.shutdown()
        httpd.server_close()
