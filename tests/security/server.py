"""An apiserver to attack: one process, with what it logs and audits; callers by certificate, by token, or anonymous."""

import json
import ssl
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

from conformance.kubectl.cluster import Cluster

from minik8s.kit.tls import Identity, client_context

RBAC = "rbac.authorization.k8s.io"
# As upstream's documents advise: of secrets and tokens only that they were asked for.
HIDDEN = [
    {"group": "", "resources": ["secrets", "serviceaccounts/token"]},
    {"group": "authentication.k8s.io", "resources": ["tokenreviews"]},
]
RULES = [{"level": "Metadata", "resources": HIDDEN}, {"level": "RequestResponse"}]
AUDIT = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": RULES}


@dataclass(frozen=True)
class Answer:
    """`body` is JSON where it can be."""

    status: int
    body: Any
    headers: dict[str, str]

    @property
    def message(self) -> str:
        return str(self.body.get("message", "")) if isinstance(self.body, dict) else str(self.body)


class Server(Cluster):
    """Talks to it as a plain HTTP client, which sends what no decent client would."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._identities: dict[tuple[str, tuple[str, ...]], Identity] = {}

    def apiserver_line(self, **flags: object) -> list[str]:
        policy = self.directory / "audit.json"
        policy.write_text(json.dumps(AUDIT))
        given = {
            "audit_policy_file": policy,
            "audit_log_path": self.directory / "audit.log",
            "enable_admission_plugins": "DenyServiceExternalIPs",
            "kubelet_client_certificate": self.admin.cert_file,
            "kubelet_client_key": self.admin.key_file,
            "kubelet_certificate_authority": self.admin.ca_file,
            "log_level": "debug",
        }
        return super().apiserver_line(**(given | flags))

    def logged(self) -> str:
        """All that the apiserver has written."""
        return "".join((self.directory / name).read_text() for name in ("apiserver.log", "audit.log"))

    def user(self, name: str, *groups: str) -> Identity:
        """A client certificate."""
        if (name, groups) not in self._identities:
            file = f"user-{len(self._identities)}"
            self._identities[name, groups] = self.authority.issue(file, user=name, groups=groups)
        return self._identities[name, groups]

    def call(
        self, method: str, path: str, body: Any = None, *, by: Identity | None = None, token: str = "", **headers: str
    ) -> Answer:
        """One request; `by` the administrator if neither `by` nor `token` says otherwise."""
        identity = by or (None if token else self.admin)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        return self.send(method, path, data, sent, identity)

    def anonymous(self, method: str, path: str) -> Answer:
        return self.send(method, path, None, {}, None)

    def send(
        self, method: str, path: str, data: bytes | None, headers: dict[str, str], identity: Identity | None
    ) -> Answer:
        """The path is sent as it is."""
        context = self.context(identity)
        with closing(HTTPSConnection("127.0.0.1", self.port, context=context, timeout=20)) as connection:
            connection.request(method, path, body=data, headers=headers)
            response = connection.getresponse()
            text = response.read()
            try:
                answered: Any = json.loads(text)
            except ValueError:
                answered = text.decode(errors="replace")
            return Answer(response.status, answered, dict(response.getheaders()))

    def context(self, identity: Identity | None) -> ssl.SSLContext:
        return client_context(identity) if identity else ssl.create_default_context(cafile=str(self.serving.ca_file))

    def make(self, path: str, document: dict[str, Any]) -> dict[str, Any]:
        """Create something that may be."""
        answer = self.call("POST", path, document)
        assert answer.status in (201, 409), answer
        return dict(answer.body)

    def namespace(self, name: str) -> str:
        self.make("/api/v1/namespaces", {"metadata": {"name": name}})
        return f"/api/v1/namespaces/{name}"

    def allow(self, user: str, namespace: str, *rules: dict[str, Any]) -> None:
        """Let a user do something in a namespace, or ("") everywhere."""
        where = f"/apis/{RBAC}/v1/" + (f"namespaces/{namespace}/" if namespace else "")
        kind, plural = ("Role", "roles") if namespace else ("ClusterRole", "clusterroles")
        subject = {"kind": "User", "apiGroup": RBAC, "name": user}
        self.make(where + plural, {"metadata": {"name": f"{user}-may"}, "rules": list(rules)})
        binding = {"metadata": {"name": f"{user}-may"}, "subjects": [subject]}
        reference = {"apiGroup": RBAC, "kind": kind, "name": f"{user}-may"}
        self.make(where + plural.replace("roles", "rolebindings"), binding | {"roleRef": reference})


def rule(verbs: str, resources: str, groups: str = "") -> dict[str, Any]:
    """`rule("get,list", "pods")`."""
    return {"verbs": verbs.split(","), "resources": resources.split(","), "apiGroups": groups.split(",")}


def pod(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}]} | spec}
