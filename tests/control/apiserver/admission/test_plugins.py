"""The small plugins: classes, finalizers, claims that grow, runtimes, external addresses, endpoints; switching them."""

import pytest

from control.apiserver.admission.world import cluster, pod
from control.apiserver.harness import scenario
from minik8s.api.errors import StatusError
from minik8s.control.apiserver.admission import selection
from minik8s.control.apiserver.admission.selection import AdmissionConfig
from minik8s.control.apiserver.core import CoreConfig

CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
DEFAULT = {"storageclass.kubernetes.io/is-default-class": "true"}


def storage_class(name, annotations=None, **more):
    return {"metadata": {"name": name, "annotations": annotations or {}}, "provisioner": "a.b/c", **more}


async def refusal(awaitable):
    with pytest.raises(StatusError) as caught:
        await awaitable
    return caught.value


def switched(*enabled, disabled=()):
    return CoreConfig(admission=AdmissionConfig(enabled, tuple(disabled)))


@scenario
async def test_a_claim_without_a_class_gets_the_default_one_and_a_finalizer():
    async with cluster() as made:
        plain = await made.create("persistentvolumeclaims", {"metadata": {"name": "before"}, "spec": CLAIM})
        assert "storageClassName" not in plain["spec"]
        assert plain["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
        await made.create("storageclasses", storage_class("other"))
        await made.create("storageclasses", storage_class("gold", DEFAULT))
        made_claim = await made.create("persistentvolumeclaims", {"metadata": {"name": "a"}, "spec": CLAIM})
        assert made_claim["spec"]["storageClassName"] == "gold"
        none = {"metadata": {"name": "b"}, "spec": CLAIM | {"storageClassName": ""}}
        assert (await made.create("persistentvolumeclaims", none))["spec"]["storageClassName"] == ""
        volume = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/v"}}
        stored = await made.create("persistentvolumes", {"metadata": {"name": "v"}, "spec": volume})
        assert stored["metadata"]["finalizers"] == ["kubernetes.io/pv-protection"]


@scenario
async def test_an_ingress_without_a_class_gets_the_default_one():
    mark = {"ingressclass.kubernetes.io/is-default-class": "true"}
    backend = {"service": {"name": "s", "port": {"number": 80}}}
    async with cluster() as made:
        for name in ("b", "a"):
            document = {"metadata": {"name": name, "annotations": mark}, "spec": {"controller": "a.b/c"}}
            await made.create("ingressclasses", document)
        stored = await made.create("ingresses", {"metadata": {"name": "i"}, "spec": {"defaultBackend": backend}})
        assert stored["spec"]["ingressClassName"] == "a"


@scenario
async def test_a_claim_grows_where_its_class_can():
    async with cluster() as made:
        await made.create("storageclasses", storage_class("stiff"))
        await made.create("storageclasses", storage_class("elastic", allowVolumeExpansion=True))
        for name in ("stiff", "elastic"):
            claim = {"metadata": {"name": name}, "spec": CLAIM | {"storageClassName": name}}
            await made.create("persistentvolumeclaims", claim)
            await made.patch("persistentvolumeclaims", name, {"status": {"phase": "Bound"}}, subresource="status")
        more = {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}
        assert (await refusal(made.patch("persistentvolumeclaims", "stiff", more))).message == (
            'persistentvolumeclaims "stiff" is forbidden: only dynamically provisioned pvc can be resized and the '
            "storageclass that provisions the pvc must support resize"
        )
        grown = await made.patch("persistentvolumeclaims", "elastic", more)
        assert grown["spec"]["resources"]["requests"]["storage"] == "2Gi"


@scenario
async def test_a_runtime_class_brings_its_overhead_and_its_nodes():
    scheduling = {"nodeSelector": {"vm": "yes"}, "tolerations": [{"key": "vm", "operator": "Exists"}]}
    kind = {
        "metadata": {"name": "vm"},
        "handler": "h",
        "overhead": {"podFixed": {"cpu": "1"}},
        "scheduling": scheduling,
    }
    async with cluster() as made:
        await made.create("runtimeclasses", kind)
        spec = (await made.create("pods", pod("p", runtimeClassName="vm", nodeSelector={"a": "b"})))["spec"]
        assert (spec["overhead"], spec["nodeSelector"]) == ({"cpu": "1"}, {"a": "b", "vm": "yes"})
        assert {"key": "vm", "operator": "Exists"} in spec["tolerations"]
        for more, why in (
            ({"runtimeClassName": "nope"}, 'pod rejected: RuntimeClass "nope" not found'),
            (
                {"runtimeClassName": "vm", "overhead": {"cpu": "2"}},
                "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
            ),
            (
                {"overhead": {"cpu": "2"}},
                "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
            ),
            (
                {"runtimeClassName": "vm", "nodeSelector": {"vm": "no"}},
                "conflict: runtimeClass.scheduling.nodeSelector[vm] = yes; pod.spec.nodeSelector[vm] = no",
            ),
        ):
            assert (await refusal(made.create("pods", pod("q", **more)))).message == f'pods "q" is forbidden: {why}'


@scenario
async def test_external_addresses_are_denied_where_that_is_asked_for():
    service = {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}], "externalIPs": ["192.0.2.1"]}}
    async with cluster() as made:
        await made.create("services", service)
    async with cluster(switched("DenyServiceExternalIPs")) as made:
        assert (await refusal(made.create("services", service))).message == (
            'services "s" is forbidden: Use of external IPs is denied by admission control'
        )


@scenario
async def test_images_are_always_pulled_where_that_is_asked_for():
    async with cluster(switched("AlwaysPullImages", disabled=["ResourceQuota"])) as made:
        stored = await made.create("pods", pod("p", {"name": "a", "image": "i:1", "imagePullPolicy": "Never"}))
        assert stored["spec"]["containers"][0]["imagePullPolicy"] == "Always"


@scenario
async def test_a_namespace_says_on_which_nodes_its_pods_run_where_that_is_asked_for():
    async with cluster(switched("PodNodeSelector")) as made:
        annotations = {"scheduler.alpha.kubernetes.io/node-selector": "env=test,zone=a"}
        await made.create("namespaces", {"metadata": {"name": "n", "annotations": annotations}})
        stored = await made.create("pods", pod("p", nodeSelector={"own": "x"}), namespace="n")
        assert stored["spec"]["nodeSelector"] == {"env": "test", "zone": "a", "own": "x"}
        found = await refusal(made.create("pods", pod("q", nodeSelector={"env": "prod"}), namespace="n"))
        assert "pod node label selector conflicts with its namespace node label selector" in found.message


def endpointslice(*addresses):
    return {
        "metadata": {"name": "s"},
        "addressType": "IPv6" if ":" in addresses[0] else "IPv4",
        "endpoints": [{"addresses": list(addresses)}],
    }


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("127.0.0.1", "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
        ("::1", "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
        ("0.0.0.0", "may not be unspecified (0.0.0.0)"),
        ("169.254.169.254", "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
        ("224.0.0.1", "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"),
    ],
)
def test_an_endpoint_is_an_address_of_somebody(address, why):
    @scenario
    async def main():
        async with cluster(allow_loopback=False) as made:
            found = await refusal(made.create("endpointslices", endpointslice(address)))
            assert found.message == (
                'EndpointSlice.discovery.k8s.io "s" is invalid: endpoints[0].addresses[0]: '
                f'Invalid value: "{address}": {why}'
            )
            endpoints = {"metadata": {"name": "s"}, "subsets": [{"addresses": [{"ip": address}]}]}
            found = await refusal(made.create("endpoints", endpoints))
            assert found.message == (
                f'Endpoints "s" is invalid: subsets[0].addresses[0].ip: Invalid value: "{address}": {why}'
            )

    main()


@scenario
async def test_endpoints_are_loopback_addresses_where_pods_live_on_them():
    async with cluster() as made:
        await made.create("endpointslices", endpointslice("127.0.0.2"))


@pytest.mark.parametrize(
    ("enabled", "disabled", "why"),
    [
        (["Nope"], [], 'enable-admission-plugins plugin "Nope" is unknown; there are AlwaysPullImages, Certificate'),
        ([], ["LoopbackEndpoints"], 'disable-admission-plugins plugin "LoopbackEndpoints" is unknown'),
        (
            ["PodSecurity"],
            ["PodSecurity"],
            r"\[PodSecurity\] in enable-admission-plugins and disable-admission-plugins overlapped",
        ),
    ],
)
def test_plugins_that_are_not_there_cannot_be_switched(enabled, disabled, why):
    with pytest.raises(ValueError, match=why):
        selection.check(enabled, disabled)


def test_what_is_on_by_default_is_what_upstream_has_on_and_node_restriction():
    chosen = [type(plugin).__name__ for plugin in AdmissionConfig(allow_loopback_endpoints=True).chain()]
    assert not {"AlwaysPullImages", "DenyServiceExternalIPs", "PodNodeSelector"} & set(chosen)
    assert chosen.index("NamespaceLifecycle") < chosen.index("LimitRanger") < chosen.index("PodSecurity")
    assert "PodSecurity" not in [type(each).__name__ for each in AdmissionConfig(disabled=["PodSecurity"]).chain()]
