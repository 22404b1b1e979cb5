"""Deployments and ReplicaSets: defaults, validation, Scale."""

import pytest

from control.apiserver.resources.kinds import created, deployment, faults, update_faults, updated
from minik8s.api.errors import StatusError
from minik8s.control.apiserver.resources.scale import read_scale, write_scale

PERCENT = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for "
    "validation is '[0-9]+%')"
)


def rolling(**fields):
    return {"strategy": {"rollingUpdate": fields}}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (deployment(), []),
        (
            {"metadata": {"name": "d"}},
            ["spec.selector: Required value", "spec.template.spec.containers: Required value"],
        ),
        (
            deployment(selector={}),
            ["spec.selector: Invalid value: {}: empty selector is invalid for deployment"],
        ),
        (
            deployment({"app": "api"}),
            [
                'spec.template.metadata.labels: Invalid value: {"app":"api"}: `selector` does not match template '
                "`labels`"
            ],
        ),
        (deployment(replicas=-1), ["spec.replicas: Invalid value: -1: must be greater than or equal to 0"]),
        (
            deployment(
                template={
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]},
                }
            ),
            ['spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"'],
        ),
        (
            deployment(**rolling(maxSurge=0, maxUnavailable="0%")),
            ['spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "0%": may not be 0 when `maxSurge` is 0'],
        ),
        (
            deployment(**rolling(maxSurge="1", maxUnavailable="101%")),
            [
                'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "101%": must not be greater than 100%',
                f'spec.strategy.rollingUpdate.maxSurge: Invalid value: "1": {PERCENT}',
            ],
        ),
        (
            deployment(strategy={"type": "Recreate", "rollingUpdate": {}}),
            ["spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"],
        ),
        (deployment(strategy={"type": "Recreate"}), []),
        (
            deployment(progressDeadlineSeconds=5, minReadySeconds=5),
            ["spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds"],
        ),
        (
            deployment(
                selector={
                    "matchExpressions": [
                        {"key": "app", "operator": "In"},
                        {"key": "-", "operator": "Exists"},
                        {"key": "app", "operator": "Exists", "values": ["a"]},
                        {"key": "app", "operator": "Is"},
                    ]
                }
            ),
            [
                "spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' "
                "or 'NotIn'",
                "spec.selector.matchExpressions[1].key: Invalid value",
                "spec.selector.matchExpressions[2].values: Forbidden: may not be specified when `operator` is "
                "'Exists' or 'DoesNotExist'",
                'spec.selector.matchExpressions[3].operator: Invalid value: "Is": not a valid selector operator',
                "spec.template.metadata.labels: Invalid value",
            ],
        ),
    ],
)
def test_a_deployment_is_validated_in_upstreams_words(document, expected):
    found = faults("Deployment", document)
    assert len(found) == len(expected)
    assert all(fault.startswith(start) for fault, start in zip(found, expected, strict=True)), found


def test_the_selector_never_changes():
    other = deployment({"app": "web", "v": "2"}, selector={"matchLabels": {"v": "2"}})
    assert update_faults("Deployment", other, deployment()) == [
        'spec.selector: Invalid value: {"matchLabels":{"v":"2"}}: field is immutable'
    ]
    assert update_faults("ReplicaSet", other, deployment())[0].endswith("field is immutable")


def test_a_replicaset_starts_with_one_wanted_and_none_there():
    made = created("ReplicaSet", deployment() | {"status": {"replicas": 7}})
    assert (made["spec"]["replicas"], made["status"]) == (1, {"replicas": 0})


def test_a_scale_changes_the_replicas_and_nothing_else():
    target = created("Deployment", deployment(replicas=3))
    scale = read_scale(target)
    assert scale["spec"] == {"replicas": 3}
    assert scale["status"] == {"replicas": 0, "selector": "app=web"}
    scaled = write_scale(target, scale | {"spec": {"replicas": 5}, "metadata": {"resourceVersion": "7"}})
    assert scaled == target | {
        "spec": target["spec"] | {"replicas": 5},
        "metadata": target["metadata"] | {"resourceVersion": "7"},
    }
    assert write_scale(target, scale | {"spec": {}})["spec"]["replicas"] == 0


def test_a_scale_below_zero_is_invalid():
    with pytest.raises(StatusError) as caught:
        write_scale(created("Deployment", deployment()), {"metadata": {}, "spec": {"replicas": -1}})
    assert caught.value.message == (
        'Scale.autoscaling "d" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0'
    )


def test_an_update_of_a_deployment_keeps_its_status():
    old = created("Deployment", deployment()) | {"status": {"replicas": 3}}
    assert updated("Deployment", deployment() | {"status": {"replicas": 9}}, old)["status"] == {"replicas": 3}
