"""`kubectl create` and its like for every kind they can make: in JSON up to 1.31, in protobuf from 1.32 on."""

import base64
import json
from functools import partial

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from .cluster import Cluster, find_kubectl

pytestmark = pytest.mark.slow

BOB = {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "bob"}
RULE = {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}
# What to create (V is the version) → where it is found, and what must be in it.
GENERATORS = [
    ("configmap c --from-literal=a=b", "configmap/c", {"data": {"a": "b"}}),
    ("secret generic s --from-literal=a=b", "secret/s", {"data": {"a": "Yg=="}, "type": "Opaque"}),
    ("serviceaccount sa", "sa/sa", {}),
    ("quota q --hard=pods=10", "quota/q", {"spec": {"hard": {"pods": "10"}}}),
    ("role r --verb=get,list --resource=pods", "role/r", {"rules": [RULE]}),
    ("rolebinding rb --role=r --user=bob", "rolebinding/rb", {"subjects": [BOB]}),
    ("clusterrole cr-V --verb=get,list --resource=pods", "clusterrole/cr-V", {"rules": [RULE]}),
    ("clusterrolebinding crb-V --clusterrole=cr-V --user=bob", "clusterrolebinding/crb-V", {"subjects": [BOB]}),
    ("priorityclass pc-V --value=10", "pc/pc-V", {"value": 10, "preemptionPolicy": "PreemptLowerPriority"}),
    ("service clusterip svc --tcp=80:8080", "service/svc", {"status": {"loadBalancer": {}}}),
    ("ingress i --rule=a.b/*=svc:80", "ingress/i", {"status": {"loadBalancer": {}}}),
    ("deployment web --image=nginx --replicas=2 --port=80", "deployment/web", {"status": {}}),
    ("job j --image=busybox -- date", "job/j", {"status": {}}),
    ("cronjob cj --image=busybox --schedule=*/5,1-3 * * * *", "cronjob/cj", {"status": {}}),
    ("job from-cron --from=cronjob/cj", "job/from-cron", {"status": {}}),
    ("namespace ns-V", "namespace/ns-V", {"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}),
]


def split(line: str) -> list[str]:
    """A command line whose schedule is one word."""
    head, found, schedule = line.partition("--schedule=")
    return [*head.split(), *([found + schedule] if found else [])]


@pytest.mark.parametrize("version", ["1.27", "1.31", "1.32", "1.33"])
def test_every_generator_makes_what_it_says(cluster: Cluster, namespace: str, version: str):
    if find_kubectl(version) is None:
        pytest.skip(f"needs kubectl {version}")
    kubectl = partial(cluster.kubectl, "--namespace", namespace, version=version)
    for line, place, expected in GENERATORS:
        line, place = (text.replace("V", version.replace(".", "")) for text in (line, place))
        kubectl("create", *split(line))
        made = json.loads(kubectl("get", place, "-o", "json"))
        assert {key: made[key] for key in expected} == expected, place
        assert made["metadata"]["name"] in kubectl("get", place)
    budget = ["pdb", "p", "--selector=app=web", "--min-available=50%"]
    kubectl("create", *budget)
    web = json.loads(kubectl("get", "deployment", "web", "-o", "json"))
    container = web["spec"]["template"]["spec"]["containers"][0]
    assert (web["spec"]["replicas"], container["ports"]) == (2, [{"containerPort": 80, "protocol": "TCP"}])
    assert "stdin" not in container
    assert "hostNetwork" not in web["spec"]["template"]["spec"]
    job = json.loads(kubectl("get", "job", "from-cron", "-o", "json"))
    assert job["metadata"]["ownerReferences"][0]["kind"] == "CronJob"
    assert job["spec"]["selector"]["matchLabels"] == {"batch.kubernetes.io/controller-uid": job["metadata"]["uid"]}
    assert "50%" in kubectl("get", "pdb")
    kubectl("autoscale", "deployment", "web", "--max=5", "--cpu-percent=70")  # In v1 or v2, as the version has it.
    assert kubectl("get", "hpa", "web", "--no-headers").split()[1:7] == [
        "Deployment/web",
        "cpu:",
        "<unknown>/70%",
        "1",
        "5",
        "0",
    ]
    assert "deployment.apps/web" in kubectl("get", "all", "-o", "name")
    for place in ("deployment/web", "job/j", "cronjob/cj", "ingress/i", "secret/s", "role/r", "pdb/p", "quota/q"):
        assert "Name:" in kubectl("describe", place)


def test_everything_that_is_discovered_can_be_listed_and_explained(cluster: Cluster, namespace: str):
    names = cluster.kubectl("api-resources", "--verbs=list", "-o", "name").split()
    assert len(names) >= 44
    listed = cluster.kubectl("--namespace", namespace, "get", ",".join(names), "--ignore-not-found")
    assert "system-node-critical" in listed
    for path in ("cronjob.spec.jobTemplate.spec", "hpa.spec.behavior", "networkpolicy.spec.ingress.from", "pdb.spec"):
        assert "FIELDS:" in cluster.kubectl("explain", path)


def test_a_signing_request_is_approved(cluster: Cluster, namespace: str):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "carol")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    document = {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": "carol"},
        "spec": {
            "request": base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode(),
            "signerName": "kubernetes.io/kube-apiserver-client",
            "usages": ["client auth"],
            "username": "somebody-else",
        },
    }
    cluster.kubectl("create", "-f", "-", stdin=json.dumps(document))
    pending = cluster.kubectl("get", "csr", "carol", "--no-headers").split()
    assert pending[2:] == ["kubernetes.io/kube-apiserver-client", "kubernetes-admin", "<none>", "Pending"]
    assert "approved" in cluster.kubectl("certificate", "approve", "carol")
    assert cluster.kubectl("get", "csr", "carol", "--no-headers").split()[-1] == "Approved"
