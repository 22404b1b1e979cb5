"""Pods: defaults, validation, what may change, what tables say."""

import pytest

from control.apiserver.resources.kinds import KINDS, container, created, faults, pod, update_faults, updated
from minik8s.control.apiserver.resources.qos import qos_class

NOT_NAMED = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1", "IfNotPresent"),
        ("registry:5000/nginx", "Always"),
        ("registry:5000/nginx:1", "IfNotPresent"),
        ("nginx@sha256:abc", "IfNotPresent"),
    ],
)
def test_an_image_without_a_fixed_tag_is_always_pulled(image, policy):
    assert created("Pod", pod({"name": "c", "image": image}))["spec"]["containers"][0]["imagePullPolicy"] == policy


def test_probes_and_hooks_get_defaults():
    given = container(
        livenessProbe={"httpGet": {"port": 80}},
        readinessProbe={"grpc": {"port": 1}, "periodSeconds": 3},
        lifecycle={"preStop": {"httpGet": {"port": "http"}}},
        env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
    )
    made = created("Pod", pod(given))["spec"]["containers"][0]
    assert made["livenessProbe"] == {
        "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }
    assert made["readinessProbe"]["grpc"] == {"port": 1, "service": ""}
    assert made["readinessProbe"]["periodSeconds"] == 3
    assert made["lifecycle"]["preStop"]["httpGet"]["scheme"] == "HTTP"
    assert made["env"][0]["valueFrom"]["fieldRef"]["apiVersion"] == "v1"


def test_volumes_get_defaults():
    volumes = [{"name": "a"}, {"name": "b", "configMap": {"name": "x"}}, {"name": "c", "hostPath": {"path": "/"}}]
    assert created("Pod", pod(volumes=volumes))["spec"]["volumes"] == [
        {"name": "a", "emptyDir": {}},
        {"name": "b", "configMap": {"name": "x", "defaultMode": 420}},
        {"name": "c", "hostPath": {"path": "/", "type": ""}},
    ]


def test_the_network_of_the_host_gives_its_ports():
    made = created("Pod", pod(container(ports=[{"containerPort": 80}]), hostNetwork=True))
    assert made["spec"]["containers"][0]["ports"] == [{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}]


def test_clients_do_not_set_the_status_of_a_new_pod():
    assert created("Pod", pod() | {"status": {"phase": "Running"}})["status"] == {
        "phase": "Pending",
        "qosClass": "BestEffort",
    }


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ([{}], "BestEffort"),
        ([{"requests": {"cpu": "0"}}], "BestEffort"),
        ([{"limits": {"cpu": "1", "memory": "1Gi"}}], "Guaranteed"),
        ([{"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}}], "Guaranteed"),
        ([{"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}], "Burstable"),
        ([{"limits": {"cpu": "1"}}], "Burstable"),
        ([{"limits": {"cpu": "1", "memory": "1Gi"}}, {}], "Burstable"),
        ([{"requests": {"cpu": "1"}}], "Burstable"),
    ],
)
def test_the_quality_of_service_follows_from_the_resources(resources, expected):
    assert qos_class({"containers": [container(resources=item) for item in resources]}) == expected


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (pod(), []),
        ({"metadata": {"name": "p"}}, ["spec.containers: Required value"]),
        (
            pod({"image": "a"}, {"name": "C_", "image": ""}),
            [
                "spec.containers[0].name: Required value",
                f'spec.containers[1].name: Invalid value: "C_": {NOT_NAMED}',
                "spec.containers[1].image: Required value",
            ],
        ),
        (pod(container("a"), container("a")), ['spec.containers[1].name: Duplicate value: "a"']),
        (
            pod(container("a"), initContainers=[container("a")]),
            ['spec.initContainers[0].name: Duplicate value: "a"'],
        ),
        (
            pod(restartPolicy="Sometimes", dnsPolicy="Never"),
            [
                'spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "Never", "OnFailure"',
                'spec.dnsPolicy: Unsupported value: "Never": supported values: "ClusterFirst", '
                '"ClusterFirstWithHostNet", "Default", "None"',
            ],
        ),
        (
            pod(container(ports=[{"name": "a"}, {"name": "a", "containerPort": 70000, "protocol": "X"}])),
            [
                "spec.containers[0].ports[0].containerPort: Required value",
                'spec.containers[0].ports[1].name: Duplicate value: "a"',
                "spec.containers[0].ports[1].containerPort: Invalid value: 70000: must be between 1 and 65535, "
                "inclusive",
                'spec.containers[0].ports[1].protocol: Unsupported value: "X": supported values: "SCTP", "TCP", "UDP"',
            ],
        ),
        (
            pod(container(env=[{}, {"name": "a=b"}, {"name": "a", "value": "b", "valueFrom": {"fieldRef": {}}}])),
            [
                "spec.containers[0].env[0].name: Required value",
                'spec.containers[0].env[1].name: Invalid value: "a=b": a valid environment variable name must consist '
                "only of printable ASCII characters other than '='",
                'spec.containers[0].env[2].valueFrom: Invalid value: "": may not be specified when `value` is not '
                "empty",
            ],
        ),
        (
            pod(
                container(volumeMounts=[{"name": "v", "mountPath": "/a"}, {"name": "w", "mountPath": "/a"}, {}]),
                volumes=[{"name": "v"}],
            ),
            [
                'spec.containers[0].volumeMounts[1].name: Not found: "w"',
                'spec.containers[0].volumeMounts[1].mountPath: Invalid value: "/a": must be unique',
                "spec.containers[0].volumeMounts[2].name: Required value",
                "spec.containers[0].volumeMounts[2].mountPath: Required value",
            ],
        ),
        (
            pod(volumes=[{"name": "v"}, {"name": "v", "secret": {}, "hostPath": {"path": "/"}}]),
            [
                'spec.volumes[1].name: Duplicate value: "v"',
                "spec.volumes[1].hostPath: Forbidden: may not specify more than 1 volume type",
                "spec.volumes[1].secret.secretName: Required value",
            ],
        ),
        (
            pod(container(resources={"requests": {"cpu": "2", "foo": "1", "memory": "-1"}, "limits": {"cpu": "1"}})),
            [
                'spec.containers[0].resources.requests[foo]: Invalid value: "foo": must be a standard resource for '
                "containers",
                'spec.containers[0].resources.requests[memory]: Invalid value: "-1": must be greater than or equal '
                "to 0",
                'spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit '
                "of 1",
            ],
        ),
        (
            pod(
                container(
                    livenessProbe={},
                    readinessProbe={"exec": {}, "httpGet": {"port": 0}},
                    startupProbe={"tcpSocket": {"port": "-"}, "successThreshold": 2},
                )
            ),
            [
                "spec.containers[0].livenessProbe: Required value: must specify a handler type",
                "spec.containers[0].readinessProbe.httpGet: Forbidden: may not specify more than 1 handler type",
                "spec.containers[0].readinessProbe.exec.command: Required value",
                'spec.containers[0].startupProbe.tcpSocket.port: Invalid value: "-": must contain at least one letter '
                "(a-z)",
                'spec.containers[0].startupProbe.tcpSocket.port: Invalid value: "-": must not begin or end with a '
                "hyphen",
                "spec.containers[0].startupProbe.successThreshold: Invalid value: 2: must be 1",
            ],
        ),
        (
            pod(tolerations=[{"operator": "Foo"}, {"key": "a", "operator": "Exists", "value": "b"}]),
            [
                'spec.tolerations[0].operator: Invalid value: "Foo": operator must be Exists when `key` is empty, '
                'which means "match all values and all keys"',
                'spec.tolerations[0].operator: Unsupported value: "Foo": supported values: "Equal", "Exists"',
                'spec.tolerations[1].operator: Invalid value: {"key":"a","operator":"Exists","value":"b"}: value must '
                "be empty when `operator` is 'Exists'",
            ],
        ),
        (
            pod(terminationGracePeriodSeconds=-1, activeDeadlineSeconds=0),
            [
                "spec.terminationGracePeriodSeconds: Invalid value: -1: must be greater than or equal to 0",
                "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
            ],
        ),
        (
            pod(
                metadata={
                    "ownerReferences": [
                        {"controller": True},
                        {"controller": True, "kind": "A", "name": "b", "uid": "u", "apiVersion": "v1"},
                    ]
                }
            ),
            [
                f'metadata.ownerReferences[0].{field}: Invalid value: "": {label} must not be empty'
                for field, label in (("apiVersion", "version"), ("kind", "kind"), ("name", "name"), ("uid", "uid"))
            ]
            + [
                "metadata.ownerReferences: Invalid value: "
                '[{"controller":true,"apiVersion":"","kind":"","name":"","uid":""},'
                '{"controller":true,"kind":"A","name":"b","uid":"u","apiVersion":"v1"}]: Only one reference can have '
                'Controller set to true. Found "true" in references for / and A/b'
            ],
        ),
    ],
)
def test_a_pod_is_validated_in_upstreams_words(document, expected):
    assert faults("Pod", document) == expected


ONLY = "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`"


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (pod({"name": "c", "image": "nginx:2"}), []),
        (pod(tolerations=[{"key": "a", "operator": "Exists"}]), []),
        (pod(activeDeadlineSeconds=5), []),
        (pod(nodeName="n1"), [ONLY]),
        (pod(container(env=[{"name": "A"}])), [ONLY]),
        (pod(container("d")), [ONLY]),
        (
            pod(container(), container("d")),
            ["spec.containers: Forbidden: pod updates may not add or remove containers"],
        ),
        (pod({"name": "c", "imagePullPolicy": "IfNotPresent"}), ["spec.containers[0].image: Required value"] * 2),
    ],
)
def test_hardly_anything_of_a_pod_may_change(new, expected):
    found = update_faults("Pod", new | {"status": {"phase": "Failed"}}, pod())
    assert [fault.partition(",")[0] for fault in found] == expected


def test_a_toleration_stays_once_given_but_its_seconds_may_change():
    def with_seconds(seconds, key="a"):
        return pod(
            tolerations=[{"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds}]
        )

    assert update_faults("Pod", with_seconds(5), with_seconds(9)) == []
    assert update_faults("Pod", with_seconds(5, "b"), with_seconds(5)) == [
        "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"
    ]


def test_an_update_keeps_the_status():
    old = created("Pod", pod())
    assert updated("Pod", pod() | {"status": {"phase": "Failed"}}, old)["status"] == old["status"]


def test_the_selectable_fields_are_those_announced():
    resource = KINDS["Pod"]
    fields = resource.fields(created("Pod", pod(nodeName="n1")))
    assert set(fields) == set(resource.field_names)
    assert (fields["spec.nodeName"], fields["spec.hostNetwork"], fields["status.podIP"]) == ("n1", "false", "")
