"""Classes of upstream's vulnerabilities: rights that grow, writes past admission, credentials that do not count."""

import asyncio
import base64
import json
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from minik8s.api.errors import StatusError
from minik8s.api.request import Request
from minik8s.client.transport_grpc import GrpcTransport
from minik8s.kit.tls import Authority, Identity

from .server import RBAC, Server, pod, rule

pytestmark = pytest.mark.slow

ROLES = f"/apis/{RBAC}/v1"
JSON_PATCH, MERGE_PATCH = "application/json-patch+json", "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


class TestEscalation:
    """CVE-2018-18264, CVE-2019-1002101 and their like: rights that give themselves more rights."""

    MORE = (rule("*", "*", "*"),)

    @pytest.fixture
    def builder(self, server: Server) -> str:
        """May write roles and bindings in `built`, and read pods; no more."""
        server.namespace("built")
        server.allow("builder", "built", rule("get,create,patch", "roles,rolebindings", RBAC), rule("get", "pods"))
        return f"{ROLES}/namespaces/built"

    def test_a_role_holds_no_more_than_its_writer(self, server: Server, builder: str):
        by = server.user("builder")
        own = {"metadata": {"name": "own"}, "rules": [rule("get", "pods")]}
        assert server.call("POST", f"{builder}/roles", own, by=by).status == 201
        answer = server.call("POST", f"{builder}/roles", {"metadata": {"name": "more"}, "rules": [*self.MORE]}, by=by)
        assert (answer.status, "attempting to grant RBAC permissions not currently held" in answer.message) == (
            403,
            True,
        )
        patch = [{"op": "replace", "path": "/rules", "value": [*self.MORE]}]
        answer = server.call("PATCH", f"{builder}/roles/own", patch, by=by, Content_Type=JSON_PATCH)
        assert answer.status == 403

    def test_a_binding_gives_no_more_than_its_writer_has(self, server: Server, builder: str):
        reference = {"apiGroup": RBAC, "kind": "ClusterRole", "name": "cluster-admin"}
        subject = {"kind": "User", "apiGroup": RBAC, "name": "builder"}
        binding = {"metadata": {"name": "more"}, "roleRef": reference, "subjects": [subject]}
        answer = server.call("POST", f"{builder}/rolebindings", binding, by=server.user("builder"))
        assert answer.status == 403

    def test_a_binding_does_not_change_what_it_binds(self, server: Server, builder: str):
        reference = {"apiGroup": RBAC, "kind": "ClusterRole", "name": "cluster-admin"}
        patch = {"roleRef": reference}
        answer = server.call("PATCH", f"{builder}/rolebindings/builder-may", patch, Content_Type=MERGE_PATCH)
        assert answer.status == 422

    def test_nobody_is_another_without_the_right_to(self, server: Server):
        for headers in (
            {"Impersonate-User": "kubernetes-admin"},
            {"Impersonate-User": "bob", "Impersonate-Group": "system:masters"},
            {"Impersonate-Group": "system:masters"},
            {"X-Remote-User": "kubernetes-admin", "X-Remote-Group": "system:masters"},
        ):
            answer = server.send("GET", "/api/v1/secrets", None, headers, server.user("bob"))
            assert answer.status in (400, 403, 500), headers
            assert answer.status != 500 or "without impersonating a user" in answer.message

    def test_who_asks_for_certificates_neither_approves_them_nor_joins_the_masters(self, server: Server):
        server.allow("asker", "", rule("create,get,update", "certificatesigningrequests", "certificates.k8s.io"))
        base = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
        spec = {"signerName": "kubernetes.io/kube-apiserver-client", "usages": ["client auth"]}
        asked = {"metadata": {"name": "masters"}, "spec": spec | {"request": signing_request("eve", "system:masters")}}
        assert server.call("POST", base, asked, by=server.user("asker")).status == 403
        asked = {"metadata": {"name": "plain"}, "spec": spec | {"request": signing_request("eve", "plain")}}
        made = server.call("POST", base, asked, by=server.user("asker"))
        assert made.status == 201
        approval = {"type": "Approved", "status": "True", "reason": "x", "message": "x"}
        wanted = made.body | {"status": {"conditions": [approval]}}
        assert server.call("PUT", f"{base}/plain/approval", wanted, by=server.user("asker")).status == 403

    def test_editors_do_not_write_endpoints_of_others(self, server: Server):
        """CVE-2021-25740: endpoints that lead into other namespaces."""
        roles = {name: server.call("GET", f"{ROLES}/clusterroles/{name}").body["rules"] for name in ("edit", "view")}
        for each in roles["edit"]:
            if {"endpoints", "endpointslices"} & set(each["resources"]):
                assert set(each["verbs"]) <= {"get", "list", "watch"}
        assert not any("secrets" in each["resources"] for each in roles["view"])


class TestAroundAdmission:
    """CVE-2021-25735, CVE-2023-2727: writes that pass by what judges the usual ones."""

    NODE_LABEL = "node-restriction.kubernetes.io/owner"

    @pytest.fixture
    def kubelet(self, server: Server):  # type: ignore[no-untyped-def]
        for name in ("node-a", "node-b"):
            server.make("/api/v1/nodes", {"metadata": {"name": name}})
        return server.user("system:node:node-a", "system:nodes")

    @pytest.mark.parametrize("subresource", ["", "/status"])
    @pytest.mark.parametrize("content_type", [MERGE_PATCH, STRATEGIC, JSON_PATCH, "application/apply-patch+yaml"])
    def test_no_patch_gives_a_node_a_label_that_is_not_its_to_give(
        self, server: Server, kubelet, subresource: str, content_type: str
    ):  # type: ignore[no-untyped-def]
        labels = {"metadata": {"labels": {self.NODE_LABEL: "me"}}}
        body: object = labels | {"apiVersion": "v1", "kind": "Node"}
        body["metadata"]["name"] = "node-a"  # type: ignore[index]
        if content_type == JSON_PATCH:
            body = [{"op": "add", "path": "/metadata/labels", "value": {self.NODE_LABEL: "me"}}]
        path = f"/api/v1/nodes/node-a{subresource}?fieldManager=k&force=true".replace(
            "&force=true", "&force=true" if "apply" in content_type else ""
        )
        server.call("PATCH", path, body, by=kubelet, Content_Type=content_type)
        assert self.NODE_LABEL not in server.call("GET", "/api/v1/nodes/node-a").body["metadata"].get("labels", {})

    def test_a_node_touches_no_other_node_and_reads_no_strange_secret(self, server: Server, kubelet):  # type: ignore[no-untyped-def]
        patch = {"metadata": {"annotations": {"x": "y"}}}
        for method, path, body in (
            ("PATCH", "/api/v1/nodes/node-b", patch),
            ("PATCH", "/api/v1/nodes/node-b/status", patch),
            ("DELETE", "/api/v1/nodes/node-b", None),
            ("GET", "/api/v1/namespaces/default/secrets/any", None),
            ("GET", "/api/v1/namespaces/default/secrets", None),
            ("POST", "/api/v1/namespaces/default/pods", pod("mirror", nodeName="node-b")),
            ("POST", "/api/v1/namespaces/default/serviceaccounts/default/token", {"spec": {"audiences": ["x"]}}),
        ):
            answer = server.call(
                method, path, body, by=kubelet, Content_Type=MERGE_PATCH if method == "PATCH" else "application/json"
            )
            assert answer.status == 403, (method, path, answer)

    def test_a_node_takes_no_taints_from_itself(self, server: Server, kubelet):  # type: ignore[no-untyped-def]
        taint = {"spec": {"taints": [{"key": "k", "effect": "NoExecute"}]}}
        server.call("PATCH", "/api/v1/nodes/node-a", taint, Content_Type=MERGE_PATCH)
        answer = server.call(
            "PATCH", "/api/v1/nodes/node-a", {"spec": {"taints": None}}, by=kubelet, Content_Type=MERGE_PATCH
        )
        assert answer.status == 403

    def test_a_node_gives_itself_no_owner(self, server: Server, kubelet):  # type: ignore[no-untyped-def]
        """CVE-2025-5187: the garbage collector deletes a node for it, taints and all."""
        owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "0-0"}
        patch = {"metadata": {"ownerReferences": [owner]}}
        assert server.call("PATCH", "/api/v1/nodes/node-a", patch, by=kubelet, Content_Type=MERGE_PATCH).status == 403

    def test_the_grpc_face_judges_alike(self, server: Server, kubelet):  # type: ignore[no-untyped-def]
        async def code(by: Identity, request: Request) -> int:
            transport = GrpcTransport([f"127.0.0.1:{server.grpc_port}"], by, timeout_s=5)
            try:
                return (await transport.call(request)).code
            except StatusError as error:
                return error.code
            finally:
                await transport.close()

        labels = json.dumps({"metadata": {"labels": {self.NODE_LABEL: "me"}}}).encode()
        to_node = Request("patch", "", "v1", "nodes", "", "node-a", body=labels, content_type=MERGE_PATCH)
        secrets = Request("list", "", "v1", "secrets")
        assert asyncio.run(code(server.user("bob"), secrets)) == 403
        assert asyncio.run(code(kubelet, secrets)) == 403
        assert asyncio.run(code(kubelet, to_node)) == 403
        assert asyncio.run(code(server.admin, secrets)) == 200

    def test_a_status_write_changes_no_spec(self, server: Server):
        server.make("/api/v1/namespaces/default/pods", pod("plain"))
        patch = {"spec": {"containers": [{"name": "c", "image": "evil"}]}, "status": {"phase": "Running"}}
        answer = server.call("PATCH", "/api/v1/namespaces/default/pods/plain/status", patch, Content_Type=MERGE_PATCH)
        assert (answer.status, answer.body["spec"]["containers"][0]["image"]) == (200, "i")

    def test_pod_security_judges_ephemeral_containers_too(self, server: Server):
        base = server.namespace("strict")
        labels = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "baseline"}}}
        server.call("PATCH", base, labels, Content_Type=MERGE_PATCH)
        server.make(f"{base}/serviceaccounts", {"metadata": {"name": "default"}})
        assert server.call("POST", f"{base}/pods", pod("p")).status == 201
        assert server.call("POST", f"{base}/pods", pod("q", hostNetwork=True)).status == 403
        privileged = {"name": "e", "image": "i", "securityContext": {"privileged": True}}
        patch = {"spec": {"ephemeralContainers": [privileged]}}
        answer = server.call("PATCH", f"{base}/pods/p/ephemeralcontainers", patch, Content_Type=STRATEGIC)
        assert answer.status == 403


class TestCredentials:
    """Forged, strange or stale ones; CVE-2019-11250, CVE-2020-8563…8566: and none of them in the logs."""

    def test_a_strange_authoritys_certificate_is_nobodys(self, server: Server, tmp_path):  # type: ignore[no-untyped-def]
        foreign = Authority(tmp_path, "ca").issue("eve", user="eve", groups=["system:masters"])
        ours = server.admin
        mixed = type(ours)(cert_file=foreign.cert_file, key_file=foreign.key_file, ca_file=ours.ca_file)
        with pytest.raises(OSError):
            server.call("GET", "/api/v1/secrets", by=mixed)

    @pytest.mark.parametrize("algorithm", ["none", "HS256", "RS256", "ES256"])
    def test_a_forged_token_is_unauthorized(self, server: Server, algorithm: str):
        def part(document: dict) -> str:  # type: ignore[type-arg]
            return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")

        claims = {
            "iss": "https://kubernetes.default.svc.cluster.local",
            "sub": "system:serviceaccount:kube-system:default",
            "aud": ["https://kubernetes.default.svc.cluster.local"],
            "exp": 4102444800,
        }
        for signature in ("", "AAAA"):
            token = f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part(claims)}.{signature}"
            assert server.call("GET", "/version", token=token).status == 401

    def test_a_token_ends_with_its_account(self, server: Server):
        path = "/api/v1/namespaces/default/serviceaccounts"
        server.make(path, {"metadata": {"name": "brief"}})
        token = server.call("POST", f"{path}/brief/token", {"spec": {}}).body["status"]["token"]
        whoami = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
        review = {"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1"}
        assert server.call("POST", whoami, review, token=token).status == 201
        server.call("DELETE", f"{path}/brief")
        deadline = time.monotonic() + 15
        while server.call("POST", whoami, review, token=token).status != 401:
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def test_neither_log_nor_audit_tells_a_token_or_a_secret(self, server: Server):
        server.call("GET", "/api/v1/namespaces", token="leaky-bearer-token")
        path = "/api/v1/namespaces/default"
        hidden = base64.b64encode(b"leaky-secret-data").decode()
        server.make(f"{path}/secrets", {"metadata": {"name": "hidden"}, "data": {"key": hidden}})
        server.call("GET", f"{path}/secrets/hidden")
        server.make(f"{path}/serviceaccounts", {"metadata": {"name": "logged"}})
        token = server.call("POST", f"{path}/serviceaccounts/logged/token", {"spec": {}}).body["status"]["token"]
        server.call("GET", "/api/v1/namespaces", token=token)
        review = {"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "spec": {"token": token}}
        server.call("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review)
        logged = server.logged()
        assert "serviceaccounts/logged/token" in logged
        for leaked in ("leaky-bearer-token", hidden, "leaky-secret-data", token, token.split(".")[2]):
            assert leaked not in logged

    def test_nobody_known_reads_little(self, server: Server):
        for path in (
            "/api/v1/pods",
            "/api/v1/namespaces/kube-system/secrets",
            "/metrics",
            "/openapi/v3",
            "/api",
            "/logs",
        ):
            assert server.anonymous("GET", path).status in (401, 403), path


def signing_request(name: str, organization: str) -> str:
    subject = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
    subject.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject)).sign(key, hashes.SHA256())
    return base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode()
