"""Kinds beyond the first ten: defaults, validation in upstream's words, what may not change."""

import copy

import pytest

from control.apiserver.resources.kinds import KINDS, container, created, faults, job, update_faults
from control.apiserver.seeds import BINDING, CLAIM, META, ROLE, SEEDS, TEMPLATE, WEBHOOK
from minik8s.control.apiserver.resources.scale import read_scale

NAME = {"name": "x"}
NAMES = {
    "CustomResourceDefinition": "gadgets.example.com",
    "APIService": "v1.example.com",
}  # of kinds whose objects are named after what they say
IMMUTABLE = "field is immutable"
SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)


def seed(kind, **fields):
    """The seed of a kind with fields of its spec, or of itself, replaced; None takes one out."""
    document = {**copy.deepcopy(SEEDS[kind]), "metadata": {"name": "x"}}
    place = document.get("spec", document)
    for name, value in fields.items():
        if value is None:
            place.pop(name, None)
        else:
            place[name] = value
    return document


@pytest.mark.parametrize("kind", sorted(SEEDS))
def test_the_seed_of_every_kind_is_valid(kind):
    assert faults(kind, {**copy.deepcopy(SEEDS[kind]), "metadata": {"name": NAMES.get(kind, "x")}}) == []


CASES = [
    ("Secret", seed("Secret", data={"tls.crt": "YQ=="}), ["data[tls.key]: Required value"]),
    (
        "Secret",
        {"metadata": NAME, "type": "kubernetes.io/service-account-token"},
        ["metadata.annotations[kubernetes.io/service-account.name]: Required value"],
    ),
    (
        "PersistentVolume",
        {"metadata": NAME},
        [
            "spec.accessModes: Required value: at least 1 access mode is required",
            "spec.capacity: Required value",
            "spec: Required value: must specify a volume type",
        ],
    ),
    (
        "PersistentVolumeClaim",
        seed("PersistentVolumeClaim", accessModes=["Often"], resources={}),
        [
            'spec.accessModes: Unsupported value: "Often": supported values: "ReadOnlyMany", "ReadWriteMany", '
            '"ReadWriteOnce", "ReadWriteOncePod"',
            "spec.resources[storage]: Required value",
        ],
    ),
    (
        "Endpoints",
        {"metadata": NAME, "subsets": [{"ports": [{"port": 0}]}]},
        [
            "subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`",
            "subsets[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
        ],
    ),
    (
        "ReplicationController",
        seed("ReplicationController", selector={"app": "api"}),
        ['spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`'],
    ),
    (
        "LimitRange",
        seed("LimitRange", limits=[{"type": "Pod", "min": {"cpu": "2"}, "max": {"cpu": "1"}}]),
        ['spec.limits[0].min[cpu]: Invalid value: "2": min value 2 is greater than max value 1'],
    ),
    (
        "ResourceQuota",
        seed("ResourceQuota", hard={"pods": "-1"}),
        ['spec.hard[pods]: Invalid value: "-1": must be greater than or equal to 0'],
    ),
    (
        "DaemonSet",
        seed("DaemonSet", updateStrategy={"rollingUpdate": {"maxUnavailable": 0}}),
        ["spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0"],
    ),
    (
        "StatefulSet",
        seed("StatefulSet", selector={}),
        ["spec.selector: Invalid value: {}: empty selector is invalid for statefulset"],
    ),
    (
        "Job",
        job(restart="Always"),
        ['spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'],
    ),
    (
        "Job",
        job(completionMode="Indexed", parallelism=-1),
        [
            "spec.parallelism: Invalid value: -1: must be greater than or equal to 0",
            "spec.completions: Required value: when completion mode is Indexed",
        ],
    ),
    (
        "CronJob",
        seed("CronJob", schedule="often", concurrencyPolicy="Maybe"),
        [
            'spec.schedule: Invalid value: "often": expected exactly 5 fields, found 1: [often]',
            'spec.concurrencyPolicy: Unsupported value: "Maybe": supported values: "Allow", "Forbid", "Replace"',
        ],
    ),
    (
        "CronJob",
        seed("CronJob") | {"metadata": {"name": "x" * 53}},
        [f'metadata.name: Invalid value: "{"x" * 53}": must be no more than 52 characters'],
    ),
    (
        "HorizontalPodAutoscaler",
        seed("HorizontalPodAutoscaler", minReplicas=0, maxReplicas=0, metrics=[{"type": "Pods"}], behavior=None),
        [
            "spec.minReplicas: Invalid value: 0: must be greater than or equal to 1",
            "spec.maxReplicas: Invalid value: 0: must be greater than 0",
            "spec.metrics[0].pods: Required value: must populate information for the given metric source",
        ],
    ),
    (
        "Ingress",
        {"metadata": NAME, "spec": {"rules": [{"http": {"paths": [{"path": "a", "pathType": "Exact"}, {}]}}]}},
        [
            'spec.rules[0].http.paths[0].path: Invalid value: "a": must be an absolute path',
            "spec.rules[0].http.paths[0].backend: Required value: must specify a service or a resource backend",
            "spec.rules[0].http.paths[1].pathType: Required value: pathType must be specified",
        ],
    ),
    (
        "IngressClass",
        seed("IngressClass", controller="c", parameters=None),
        ['spec.controller: Invalid value: "c": must be a domain-prefixed path (such as "acme.io/foo")'],
    ),
    (
        "NetworkPolicy",
        seed("NetworkPolicy", ingress=[{"from": [{}, {"ipBlock": {"cidr": "x"}}]}], egress=None),
        [
            "spec.ingress[0].from[0]: Required value: must specify a peer",
            'spec.ingress[0].from[1].ipBlock.cidr: Invalid value: "x": must be a valid CIDR value, '
            "(e.g. 10.9.8.0/24 or 2001:db8::/64)",
        ],
    ),
    (
        "PodDisruptionBudget",
        {"metadata": NAME, "spec": {"minAvailable": 1, "maxUnavailable": 1}},
        [
            'spec: Invalid value: {"minAvailable":1,"maxUnavailable":1}: minAvailable and maxUnavailable cannot be '
            "both set"
        ],
    ),
    (
        "Role",
        {"metadata": NAME, "rules": [{"verbs": [], "nonResourceURLs": ["/x"]}, {"verbs": ["get"]}]},
        [
            "rules[0].verbs: Required value: verbs must contain at least one value",
            'rules[0].nonResourceURLs: Invalid value: ["/x"]: namespaced rules cannot apply to non-resource URLs',
            "rules[1].apiGroups: Required value: resource rules must supply at least one api group",
            "rules[1].resources: Required value: resource rules must supply at least one resource",
        ],
    ),
    ("ClusterRole", {"metadata": NAME, "rules": [{"verbs": ["get"], "nonResourceURLs": ["/x"]}]}, []),
    (
        "ClusterRoleBinding",
        {"metadata": NAME, "roleRef": {"kind": "Role", "name": "a/b"}, "subjects": [{"kind": "ServiceAccount"}]},
        [
            'roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole"',
            "roleRef.name: Invalid value: \"a/b\": may not contain '/'",
            "subjects[0].name: Required value",
            "subjects[0].namespace: Required value",
        ],
    ),
    (
        "StorageClass",
        {"metadata": NAME, "reclaimPolicy": "Recycle", "provisioner": "a"},
        ['reclaimPolicy: Unsupported value: "Recycle": supported values: "Delete", "Retain"'],
    ),
    (
        "PriorityClass",
        {"metadata": NAME, "value": 1_000_000_001},
        ["value: Forbidden: maximum allowed value of a user defined priority is 1000000000"],
    ),
    (
        "PriorityClass",
        {"metadata": {"name": "system-mine"}},
        [
            "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. "
            "error: system-mine is not a known system priority class"
        ],
    ),
    ("PriorityClass", {"metadata": {"name": "system-node-critical"}, "value": 2_000_001_000}, []),
    (
        "CertificateSigningRequest",
        {"metadata": NAME, "spec": {"request": "YQ==", "signerName": "s", "usages": ["all"]}},
        [
            'spec.request: Invalid value: "YQ==": PEM block type must be CERTIFICATE REQUEST',
            'spec.usages[0]: Unsupported value: "all": supported values: "any"',
            'spec.signerName: Invalid value: "s": must be a domain-prefixed path (such as "acme.io/foo")',
        ],
    ),
    (
        "ValidatingWebhookConfiguration",
        {"metadata": NAME, "webhooks": [{"name": "a.b", "clientConfig": {"url": "http://a"}}]},
        [
            'webhooks[0].name: Invalid value: "a.b": should be a domain with at least three segments separated by dots',
            "webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun",
            "webhooks[0].clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; desired "
            "format: https://host[/path]",
            "webhooks[0].admissionReviewVersions: Required value: must specify one of v1, v1beta1",
        ],
    ),
    (
        "MutatingWebhookConfiguration",
        {"metadata": NAME, "webhooks": [WEBHOOK, WEBHOOK]},
        ['webhooks[1].name: Duplicate value: "a.b.c"'],
    ),
    (
        "ValidatingAdmissionPolicyBinding",
        {"metadata": NAME},
        ["spec.policyName: Required value", "spec.validationActions: Required value"],
    ),
    ("RuntimeClass", {"metadata": NAME, "handler": "h/"}, ['handler: Invalid value: "h/": ']),
    (
        "VolumeAttachment",
        {"metadata": NAME},
        [
            "spec.attacher: Required value",
            "spec.nodeName: Required value",
            "spec.source: Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName",
        ],
    ),
]


@pytest.mark.parametrize(
    ("kind", "document", "expected"), CASES, ids=[f"{case[0]}-{i}" for i, case in enumerate(CASES)]
)
def test_what_is_wrong_is_told_in_upstreams_words(kind, document, expected):
    found = faults(kind, document)
    assert len(found) == len(expected), found
    assert all(fault.startswith(start) for fault, start in zip(found, expected, strict=True)), found


UPDATES = [
    ("Secret", {"type": "a/b"}, {"type": "c/d"}, ['type: Invalid value: "a/b": field is immutable']),
    (
        "Secret",
        {"data": {"a": "YQ=="}},
        {"data": {"a": "Yg=="}, "immutable": True},
        [f"{field}: Forbidden: field is immutable when `immutable` is set" for field in ("immutable", "data")],
    ),
    ("RoleBinding", BINDING | {"roleRef": {"kind": "Role", "name": "r"}}, BINDING, ["roleRef: Invalid value: {"]),
    ("StorageClass", {"provisioner": "a"}, {"provisioner": "b"}, ["provisioner: Forbidden: updates to provisioner"]),
    ("PriorityClass", {"value": 2}, {"value": 1}, ["value: Forbidden: may not be changed in an update."]),
    (
        "Job",
        job(completions=2, manualSelector=True, selector={}),
        job(completions=3, manualSelector=True, selector={}),
        ["spec.completions: Invalid value: 2: field is immutable"],
    ),
    (
        "Job",
        job(parallelism=2, manualSelector=True, selector={}),
        job(manualSelector=True, selector={}),
        ["spec.compl"],
    ),
    (
        "PersistentVolumeClaim",
        seed("PersistentVolumeClaim", accessModes=["ReadOnlyMany"]),
        CLAIM,
        ["spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName"],
    ),
    (
        "StatefulSet",
        seed("StatefulSet", serviceName="other"),
        SEEDS["StatefulSet"],
        ["spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "],
    ),
    ("StatefulSet", seed("StatefulSet", replicas=5), SEEDS["StatefulSet"], []),
    ("DaemonSet", seed("DaemonSet", selector={"matchLabels": {"app": "web"}}), SEEDS["DaemonSet"], []),
    ("RuntimeClass", {"handler": "a"}, {"handler": "b"}, ['handler: Invalid value: "a": field is immutable']),
    (
        "ControllerRevision",
        {"data": {"a": 1}},
        {"data": {"a": 2}},
        ['data: Invalid value: {"a":1}: field is immutable'],
    ),
]


@pytest.mark.parametrize(
    ("kind", "new", "old", "expected"), UPDATES, ids=[f"{u[0]}-{i}" for i, u in enumerate(UPDATES)]
)
def test_what_may_not_change_is_told_in_upstreams_words(kind, new, old, expected):
    new, old = ({**copy.deepcopy(each), "metadata": dict(NAME)} for each in (new, old))
    found = update_faults(kind, new, old)
    assert len(found) == len(expected), found
    assert all(fault.startswith(start) for fault, start in zip(found, expected, strict=True)), found


def test_texts_of_a_secret_become_data_and_are_not_kept():
    made = created("Secret", {"metadata": NAME, "data": {"a": "YQ==", "b": "YQ=="}, "stringData": {"a": "hello"}})
    assert made["data"] == {"a": "aGVsbG8=", "b": "YQ=="}
    assert "stringData" not in made


def test_a_job_knows_its_pods_by_its_uid():
    document = job()
    document["metadata"] = {"name": "j", "uid": "u1"}
    made = created("Job", document)
    labels = {
        "controller-uid": "u1",
        "job-name": "j",
        "batch.kubernetes.io/controller-uid": "u1",
        "batch.kubernetes.io/job-name": "j",
    }
    assert made["spec"]["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": "u1"}}
    assert made["spec"]["template"]["metadata"]["labels"] == made["metadata"]["labels"] == labels
    own = created("Job", job(manualSelector=True, selector={"matchLabels": {"a": "b"}}))
    assert own["spec"]["selector"] == {"matchLabels": {"a": "b"}}


def test_a_container_without_limits_takes_them_from_the_maximum():
    limits = created("LimitRange", {"metadata": NAME, "spec": {"limits": [{"type": "Container", "max": {"cpu": "1"}}]}})
    assert limits["spec"]["limits"][0] == {
        "type": "Container",
        "max": {"cpu": "1"},
        "default": {"cpu": "1"},
        "defaultRequest": {"cpu": "1"},
    }


def test_a_network_policy_is_about_what_it_speaks_of():
    policy = {"metadata": NAME, "spec": {"egress": [{"ports": [{"port": 53}]}]}}
    spec = created("NetworkPolicy", policy)["spec"]
    assert (spec["policyTypes"], spec["egress"][0]["ports"]) == (
        ["Ingress", "Egress"],
        [{"port": 53, "protocol": "TCP"}],
    )


def test_an_autoscaler_of_nothing_looks_at_cpu():
    spec = created("HorizontalPodAutoscaler", seed("HorizontalPodAutoscaler", metrics=None, behavior={}))["spec"]
    assert spec["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 80}
    assert [rules["selectPolicy"] for rules in spec["behavior"].values()] == ["Max", "Max"]


def test_claims_of_a_statefulset_are_volumes_that_containers_mount():
    template = copy.deepcopy(TEMPLATE)
    template["spec"]["containers"] = [container(volumeMounts=[{"name": "x", "mountPath": "/v"}])]
    assert faults("StatefulSet", seed("StatefulSet", template=template)) == []
    assert faults("StatefulSet", seed("StatefulSet", template=template, volumeClaimTemplates=None)) == [
        'spec.template.spec.containers[0].volumeMounts[0].name: Not found: "x"'
    ]


def test_names_of_roles_are_parts_of_urls_and_nothing_more():
    assert KINDS["Role"].validate_name("system:Node Reader") is None
    assert KINDS["ClusterRole"].validate_name("a%b") == "may not contain '%'"
    assert KINDS["RoleBinding"].validate_name("..") == "may not be '..'"


@pytest.mark.parametrize(
    ("kind", "cells"),
    [
        ("Secret", ["x", "kubernetes.io/tls", 2, "<unknown>"]),
        ("CronJob", ["x", "*/5 1-3 * jan mon-fri", "UTC", "False", 1]),
        ("Job", ["x", "Complete", "0/3", "5s"]),
        ("HorizontalPodAutoscaler", ["x", "Deployment/d", "cpu: 1/1 (avg), <unknown>/1", "1", 5, 0]),
        ("Ingress", ["x", "c", "*.a.b", "10.0.0.1", "80, 443"]),
        ("PersistentVolume", ["x", "1Gi", "RWO", "Retain", "Bound", "n/c", "c", "<unset>"]),
        ("PersistentVolumeClaim", ["x", "Bound", "v", "1Gi", "RWO", "c", "<unset>"]),
        ("ResourceQuota", ["x", "pods: 1/10", "limits.cpu: 0/1"]),
        ("RoleBinding", ["x", "ClusterRole/view", "<unknown>", "u", "", "n/s"]),
        ("PodDisruptionBudget", ["x", "50%", "N/A", 0]),
        ("CertificateSigningRequest", ["x", "<unknown>", "a.b/c", "", "60m", "Approved,Issued"]),
        ("Endpoints", ["x", "10.0.0.1:80,[::1]:80"]),
        ("ControllerRevision", ["x", "a/b", 3]),
        ("NetworkPolicy", ["x", "a=b,c in (d)"]),
        ("VolumeAttachment", ["x", "a.b", "v", "n", True]),
        ("IngressClass", ["x", "a.b/c", "K.g/n"]),
        ("ValidatingAdmissionPolicy", ["x", 1, "v1/ConfigMap"]),
    ],
)
def test_a_row_says_the_most_important(kind, cells):
    document = copy.deepcopy(SEEDS[kind]) | {"metadata": dict(META)}
    KINDS[kind].default(document)
    assert list(KINDS[kind].row(document, 0.0))[: len(cells)] == cells


def test_the_scale_of_a_replicationcontroller_counts_the_pods_it_selects():
    assert read_scale(created("ReplicationController", seed("ReplicationController")))["status"] == {
        "replicas": 0,
        "selector": "app=web",
    }


def test_roles_are_as_they_were_given():
    assert created("Role", ROLE)["rules"] == ROLE["rules"]
