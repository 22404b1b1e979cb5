"""PodSecurity: levels, modes, versions, exemptions; upstream's words."""

import copy

import msgspec
import pytest

from control.apiserver.admission.world import cluster, pod
from control.apiserver.harness import scenario
from minik8s.api.errors import StatusError
from minik8s.control.apiserver.admission.configuration import parse
from minik8s.control.apiserver.admission.pod_security import PodSecurityConfig
from minik8s.control.apiserver.admission.pod_security_standards import LATEST, findings
from minik8s.control.apiserver.admission.selection import AdmissionConfig
from minik8s.control.apiserver.core import CoreConfig

GOOD = {
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [
        {
            "name": "a",
            "image": "i",
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        }
    ],
}


def good(context=None, pod_context=None, **container):
    """A spec that is good at every level, but for what is said."""
    spec = copy.deepcopy(GOOD)
    spec["securityContext"] |= pod_context or {}
    spec["containers"][0] |= container
    spec["containers"][0]["securityContext"] |= context or {}
    return spec


def told(level, spec, annotations=None, minor=LATEST):
    return [
        f"{reason} ({detail})" if detail else reason
        for reason, detail in findings(level, minor, annotations or {}, spec)
    ]


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (GOOD | {"hostNetwork": True, "hostIPC": True}, "host namespaces (hostNetwork=true, hostIPC=true)"),
        (good({"privileged": True}), 'privileged (container "a" must not set securityContext.privileged=true)'),
        (
            good({"capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "KILL"]}}),
            'non-default capabilities (container "a" must not include "NET_ADMIN" in securityContext.capabilities.add)',
        ),
        (GOOD | {"volumes": [{"name": "v", "hostPath": {}}]}, 'hostPath volumes (volume "v")'),
        (good(ports=[{"hostPort": 80}]), 'hostPort (container "a" uses hostPort 80)'),
        (
            good(livenessProbe={"httpGet": {"host": "b.c"}}),
            'probe or lifecycle host (container "a" uses probe or lifecycle host "b.c")',
        ),
        (
            good({"procMount": "Unmasked"}),
            'procMount (container "a" must not set securityContext.procMount to "Unmasked")',
        ),
        (
            good({"seLinuxOptions": {"type": "x", "user": "u"}}, {"seLinuxOptions": {"role": "r"}}),
            'seLinuxOptions (pod and container "a" set forbidden securityContext.seLinuxOptions: type "x"; '
            "user may not be set; role may not be set)",
        ),
        (
            good({"seccompProfile": {"type": "Unconfined"}}),
            'seccompProfile (container "a" must not set securityContext.seccompProfile.type to "Unconfined")',
        ),
        (good(pod_context={"sysctls": [{"name": "a.b"}, {"name": "net.ipv4.tcp_rmem"}]}), "forbidden sysctls (a.b)"),
        (
            good(pod_context={"windowsOptions": {"hostProcess": True}}),
            "hostProcess (pod must not set securityContext.windowsOptions.hostProcess=true)",
        ),
        (
            good({"appArmorProfile": {"type": "Unconfined"}}),
            'forbidden AppArmor profile (container "a" must not set AppArmor profile type to "Unconfined")',
        ),
    ],
)
def test_baseline_forbids_the_ways_to_the_node(spec, why):
    assert told("baseline", spec) == [why]
    assert told("privileged", spec) == []


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (
            good({"allowPrivilegeEscalation": None}),
            'allowPrivilegeEscalation != false (container "a" must set securityContext.allowPrivilegeEscalation=false)',
        ),
        (
            good({"capabilities": {"add": ["SYS_TIME", "NET_BIND_SERVICE"]}}),
            'unrestricted capabilities (container "a" must set securityContext.capabilities.drop=["ALL"]; '
            'container "a" must not include "SYS_TIME" in securityContext.capabilities.add)',
        ),
        (
            GOOD
            | {"volumes": [{"name": "v", "hostPath": {}}, {"name": "w", "nfs": {}}, {"name": "x", "emptyDir": {}}]},
            'restricted volume types (volumes "v", "w" use restricted volume types "hostPath", "nfs")',
        ),
        (
            good(pod_context={"runAsNonRoot": None}),
            'runAsNonRoot != true (pod or container "a" must set securityContext.runAsNonRoot=true)',
        ),
        (
            good({"runAsNonRoot": False}),
            'runAsNonRoot != true (container "a" must not set securityContext.runAsNonRoot=false)',
        ),
        (good({"runAsUser": 0}, {"runAsUser": 0}), 'runAsUser=0 (pod and container "a" must not set runAsUser=0)'),
        (
            good(pod_context={"seccompProfile": None}),
            'seccompProfile (pod or container "a" must set securityContext.seccompProfile.type to '
            '"RuntimeDefault" or "Localhost")',
        ),
    ],
)
def test_restricted_wants_pods_to_give_up_what_they_do_not_need(spec, why):
    assert told("restricted", GOOD) == []
    assert told("restricted", spec) == [why]


@pytest.mark.parametrize(
    ("level", "minor", "spec", "count"),
    [
        ("baseline", 26, good(pod_context={"sysctls": [{"name": "net.ipv4.ip_local_reserved_ports"}]}), 1),
        ("baseline", 27, good(pod_context={"sysctls": [{"name": "net.ipv4.ip_local_reserved_ports"}]}), 0),
        ("baseline", 33, good(livenessProbe={"httpGet": {"host": "b.c"}}), 0),
        ("baseline", 99, good(livenessProbe={"httpGet": {"host": "b.c"}}), 1),
        ("restricted", 34, good({"runAsUser": 0}) | {"hostUsers": False}, 1),
        ("restricted", 35, good({"runAsUser": 0}) | {"hostUsers": False}, 0),
        ("restricted", 24, good({"allowPrivilegeEscalation": None}) | {"os": {"name": "windows"}}, 1),
        ("restricted", 25, good({"allowPrivilegeEscalation": None}) | {"os": {"name": "windows"}}, 0),
        ("restricted", 7, good({"allowPrivilegeEscalation": None}), 0),
    ],
)
def test_a_namespace_can_pin_the_standards_of_a_release(level, minor, spec, count):
    assert len(told(level, spec, minor=minor)) == count


def test_init_and_ephemeral_containers_count_too():
    spec = GOOD | {
        "initContainers": [{"name": "i", "securityContext": {"privileged": True}}],
        "ephemeralContainers": [{"name": "e", "securityContext": {"privileged": True}}],
    }
    assert told("baseline", spec) == ['privileged (containers "i", "e" must not set securityContext.privileged=true)']


def labels(**modes):
    return {f"pod-security.kubernetes.io/{mode.replace('_', '-')}": value for mode, value in modes.items()}


PRIVILEGED = pod("p", {"name": "a", "securityContext": {"privileged": True}})
WHY = 'violates PodSecurity "baseline:latest": privileged (container "a" must not set securityContext.privileged=true)'


@scenario
async def test_pods_are_refused_and_what_makes_them_is_warned_of():
    async with cluster() as made:
        modes = labels(enforce="baseline", warn="restricted", warn_version="v1.24")
        await made.create("namespaces", {"metadata": {"name": "n", "labels": modes}})
        with pytest.raises(StatusError) as caught:
            await made.create("pods", PRIVILEGED, namespace="n")
        assert (caught.value.code, caught.value.message) == (403, f'pods "p" is forbidden: {WHY}')
        answer = await made.call("create", "pods", "", pod("ok"), namespace="n")
        assert len(answer.warnings) == 1
        assert answer.warnings[0].startswith(
            'would violate PodSecurity "restricted:v1.24": allowPrivilegeEscalation != false (container "a" must set'
        )
        template = {"metadata": {"labels": {"a": "b"}}, "spec": PRIVILEGED["spec"]}
        deployment = {
            "metadata": {"name": "d"},
            "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template},
        }
        answer = await made.call("create", "deployments", "", deployment, namespace="n")
        assert answer.warnings[0].startswith('would violate PodSecurity "restricted:v1.24": privileged (container "a"')
        # What does not change what is judged passes, and warns of nothing.
        await made.patch("pods", "ok", {"metadata": {"labels": {"x": "y"}}}, namespace="n")


@scenario
async def test_a_namespace_that_becomes_stricter_is_told_of_its_pods():
    async with cluster() as made:
        await made.create("namespaces", {"metadata": {"name": "n"}})
        for name in ("b", "a", "c"):
            await made.create("pods", PRIVILEGED | {"metadata": {"name": name}}, namespace="n")
        await made.create("pods", pod("d"), namespace="n")
        change = {"metadata": {"labels": labels(enforce="baseline")}}
        answer = await made.call("patch", "namespaces", "n", change, content_type="application/merge-patch+json")
        assert answer.warnings == (
            'existing pods in namespace "n" violate the new PodSecurity enforce level "baseline:latest"',
            "a (and 2 other pods): privileged",
        )
        relaxed = {"metadata": {"labels": labels(enforce="privileged")}}
        answer = await made.call("patch", "namespaces", "n", relaxed, content_type="application/merge-patch+json")
        assert answer.warnings == ()


@scenario
async def test_labels_that_mean_nothing_are_refused():
    async with cluster() as made:
        with pytest.raises(StatusError) as caught:
            await made.create(
                "namespaces", {"metadata": {"name": "n", "labels": labels(enforce="strict", warn_version="1.2")}}
            )
        assert caught.value.code == 422
        assert [cause.message for cause in caught.value.causes] == [
            'Invalid value: "strict": must be one of privileged, baseline, restricted',
            'Invalid value: "1.2": must be "latest" or "v1.x"',
        ]


@scenario
async def test_the_configuration_says_what_holds_without_labels_and_who_is_exempt():
    given = {
        "kind": "AdmissionConfiguration",
        "plugins": [
            {
                "name": "PodSecurity",
                "configuration": {
                    "kind": "PodSecurityConfiguration",
                    "defaults": {"enforce": "baseline", "enforce-version": "v1.30"},
                    "exemptions": {"namespaces": ["kube-system"]},
                },
            }
        ],
    }
    config: PodSecurityConfig = parse(given, lambda path: None)
    async with cluster(CoreConfig(admission=AdmissionConfig(pod_security=config))) as made:
        with pytest.raises(StatusError, match=r'violates PodSecurity "baseline:v1\.30": privileged'):
            await made.create("pods", PRIVILEGED)
        await made.create("pods", PRIVILEGED, namespace="kube-system")
        assert msgspec.json.decode((await made.call("get", "pods", "p", namespace="kube-system")).body)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, "must be an AdmissionConfiguration"),
        ({"kind": "AdmissionConfiguration", "plugins": [{"name": "X"}]}, "plugin 'X' takes no configuration"),
        (
            {
                "kind": "AdmissionConfiguration",
                "plugins": [
                    {
                        "name": "PodSecurity",
                        "configuration": {"kind": "PodSecurityConfiguration", "defaults": {"warn": "x"}},
                    }
                ],
            },
            "defaults.warn: 'x' must be one of",
        ),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(given, why):
    with pytest.raises(ValueError, match=why):
        parse(given, lambda path: None)
