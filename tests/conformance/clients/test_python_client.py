"""The official Python client, typed and dynamic."""

import contextlib
import threading
from collections.abc import Iterator

import pytest
import urllib3
from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import ConflictError

from .world import World, until

pytestmark = pytest.mark.slow

DEATH = (urllib3.exceptions.HTTPError, OSError, ApiException)


@pytest.fixture
def api(world: World) -> Iterator[client.ApiClient]:
    with config.new_client_from_config(str(world.kubeconfig())) as made:
        yield made


def configmap(name: str, **data: str) -> client.V1ConfigMap:
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name, labels={"app": "a"}), data=data)


def deployment(name: str) -> dict[str, object]:
    container = {"name": "c", "image": "i", "ports": [{"containerPort": 80}]}
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def test_typed_objects_are_made_read_patched_and_deleted(api: client.ApiClient, namespace: str):
    core = client.CoreV1Api(api)
    made = core.create_namespaced_config_map(namespace, configmap("a", x="1"))
    assert made.metadata.uid
    assert core.read_namespaced_config_map("a", namespace).data == {"x": "1"}
    made.data["y"] = "2"
    assert core.replace_namespaced_config_map("a", namespace, made).data == {"x": "1", "y": "2"}
    with pytest.raises(ApiException) as caught:
        core.replace_namespaced_config_map("a", namespace, made)
    assert (caught.value.status, caught.value.reason) == (409, "Conflict")
    listed = core.list_namespaced_config_map(namespace, label_selector="app=a")
    assert [item.metadata.name for item in listed.items] == ["a"]
    assert core.delete_namespaced_config_map("a", namespace)["status"] == "Success"
    with pytest.raises(ApiException) as caught:
        core.read_namespaced_config_map("a", namespace)
    assert caught.value.status == 404


def test_a_deployment_is_patched_in_each_way(api: client.ApiClient, namespace: str):
    apps = client.AppsV1Api(api)
    apps.create_namespaced_deployment(namespace, deployment("web"))
    # The client sends a list as a JSON patch and a mapping as a strategic merge.
    sidecar = {"spec": {"template": {"spec": {"containers": [{"name": "d", "image": "j"}]}}}}
    merged = apps.patch_namespaced_deployment("web", namespace, sidecar)
    assert {item.name for item in merged.spec.template.spec.containers} == {"c", "d"}
    replicas = [
        {"op": "test", "path": "/spec/replicas", "value": 2},
        {"op": "replace", "path": "/spec/replicas", "value": 3},
    ]
    assert apps.patch_namespaced_deployment("web", namespace, replicas).spec.replicas == 3
    scaled = apps.patch_namespaced_deployment_scale("web", namespace, {"spec": {"replicas": 4}})
    assert (scaled.spec.replicas, scaled.status.selector) == (4, "app=web")
    status = apps.patch_namespaced_deployment_status("web", namespace, {"status": {"observedGeneration": 3}})
    assert status.status.observed_generation == 3


def test_a_dynamic_client_finds_kinds_by_discovery_and_applies(api: client.ApiClient, namespace: str):
    dynamic = DynamicClient(api)
    deployments = dynamic.resources.get(api_version="apps/v1", kind="Deployment")
    made = deployments.server_side_apply(body=deployment("web"), namespace=namespace, field_manager="me")
    assert (made.metadata.generation, made.metadata.managedFields[0].manager) == (1, "me")
    again = deployments.server_side_apply(body=deployment("web"), namespace=namespace, field_manager="me")
    assert again.metadata.resourceVersion == made.metadata.resourceVersion
    merge = {"body": {"spec": {"paused": True}}, "name": "web", "namespace": namespace}
    assert deployments.patch(**merge, content_type="application/merge-patch+json").spec.paused is True
    other = deployment("web")
    other["spec"]["replicas"] = 5  # type: ignore[index]
    with pytest.raises(ConflictError):
        deployments.server_side_apply(body=other, namespace=namespace, field_manager="other")
    forced = deployments.server_side_apply(body=other, namespace=namespace, field_manager="other", force_conflicts=True)
    assert forced.spec.replicas == 5
    deployments.delete(name="web", namespace=namespace)
    assert deployments.get(namespace=namespace).items == []


def test_a_dynamic_client_patches_in_each_way(api: client.ApiClient, namespace: str):
    deployments = DynamicClient(api).resources.get(api_version="apps/v1", kind="Deployment")
    deployments.create(body=deployment("web"), namespace=namespace)
    at = {"name": "web", "namespace": namespace}
    sidecar = {"spec": {"template": {"spec": {"containers": [{"name": "d", "image": "j"}]}}}}
    strategic = deployments.patch(body=sidecar, content_type="application/strategic-merge-patch+json", **at)
    assert {item.name for item in strategic.spec.template.spec.containers} == {"c", "d"}
    replicas = [{"op": "replace", "path": "/spec/replicas", "value": 3}]
    assert deployments.patch(body=replicas, content_type="application/json-patch+json", **at).spec.replicas == 3
    merge = {"spec": {"replicas": 4}}
    assert deployments.patch(body=merge, content_type="application/merge-patch+json", **at).spec.replicas == 4


def test_a_dynamic_watch_outlives_lost_history_and_an_apiserver(world: World, api: client.ApiClient, namespace: str):
    configmaps = DynamicClient(api).resources.get(api_version="v1", kind="ConfigMap")
    with pytest.raises(ApiException) as caught:
        list(configmaps.watch(namespace=namespace, resource_version="1", timeout=5))
    assert caught.value.status == 410
    revision, seen = configmaps.get(namespace=namespace).metadata.resourceVersion, []
    with world.one_server_dead():
        until(lambda: configmaps.create(body={"metadata": {"name": "a"}}, namespace=namespace), failures=DEATH)
        while not seen:
            with contextlib.suppress(*DEATH):
                for event in configmaps.watch(namespace=namespace, resource_version=revision, timeout=2):
                    seen.append((event["type"], event["object"].metadata.name))
                    break
    assert seen == [("ADDED", "a")]


def test_a_watch_outlives_lost_history(api: client.ApiClient, namespace: str):
    core = client.CoreV1Api(api)
    core.create_namespaced_config_map(namespace, configmap("a"))
    stream = watch.Watch().stream(
        core.list_namespaced_config_map, namespace, resource_version="1", timeout_seconds=5, limit=500
    )
    with pytest.raises(ApiException) as caught:
        next(stream)
    assert caught.value.status == 410
    listed = core.list_namespaced_config_map(namespace)
    core.create_namespaced_config_map(namespace, configmap("b"))
    watcher = watch.Watch()
    for event in watcher.stream(
        core.list_namespaced_config_map, namespace, resource_version=listed.metadata.resource_version
    ):
        assert (event["type"], event["object"].metadata.name) == ("ADDED", "b")
        watcher.stop()


def test_a_watch_and_calls_outlive_an_apiserver(world: World, api: client.ApiClient, namespace: str):
    core = client.CoreV1Api(api)
    seen: list[str] = []

    def follow(revision: str) -> None:
        with config.new_client_from_config(str(world.kubeconfig())) as own:
            names = client.CoreV1Api(own)
            while "z" not in seen:
                watcher = watch.Watch()
                with contextlib.suppress(*DEATH):
                    for event in watcher.stream(
                        names.list_namespaced_config_map, namespace, resource_version=revision, timeout_seconds=5
                    ):
                        seen.append(event["object"].metadata.name)
                        revision = event["object"].metadata.resource_version
                        if seen[-1] == "z":
                            return

    revision = core.list_namespaced_config_map(namespace).metadata.resource_version
    follower = threading.Thread(target=follow, args=(revision,), daemon=True)
    follower.start()
    for name in ("x", "y"):
        with world.one_server_dead():
            until(lambda name=name: core.create_namespaced_config_map(namespace, configmap(name)), failures=DEATH)
    until(lambda: core.create_namespaced_config_map(namespace, configmap("z")), failures=DEATH)
    follower.join(10)
    assert seen == ["x", "y", "z"]
