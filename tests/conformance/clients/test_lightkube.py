"""lightkube: typed resources, generic ones, its watch."""

import contextlib
import threading
from collections.abc import Iterator

import httpx2
import pytest
from lightkube import ApiError, Client, KubeConfig
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import ConfigMap
from lightkube.types import PatchType, on_error_retry

from .test_python_client import deployment
from .world import World, until

pytestmark = pytest.mark.slow

DEATH = (httpx2.HTTPError, ApiError)


@pytest.fixture
def client(world: World, namespace: str) -> Iterator[Client]:
    yield client_of(world, namespace)


def client_of(world: World, namespace: str) -> Client:
    return Client(config=KubeConfig.from_file(world.kubeconfig()), namespace=namespace, field_manager="lightkube")


def configmap(name: str) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, labels={"app": "a"}), data={"x": "1"})


def test_objects_are_made_listed_patched_in_each_way_and_deleted(client: Client):
    made = client.create(Deployment.from_dict(deployment("web")))
    assert made.metadata and made.metadata.uid
    sidecar = {"spec": {"template": {"spec": {"containers": [{"name": "d", "image": "j"}]}}}}
    merged = client.patch(Deployment, "web", sidecar, patch_type=PatchType.STRATEGIC)
    assert {item.name for item in merged.spec.template.spec.containers} == {"c", "d"}
    replaced = client.patch(Deployment, "web", sidecar, patch_type=PatchType.MERGE)
    assert [item.name for item in replaced.spec.template.spec.containers] == ["d"]
    operations = [{"op": "replace", "path": "/spec/replicas", "value": 3}]
    assert client.patch(Deployment, "web", operations, patch_type=PatchType.JSON).spec.replicas == 3
    scale = client.get(Deployment.Scale, "web")
    scale.spec.replicas = 4
    assert client.replace(scale, "web").spec.replicas == 4
    assert [item.metadata.name for item in client.list(Deployment)] == ["web"]
    client.delete(Deployment, "web")
    with pytest.raises(ApiError) as caught:
        client.get(Deployment, "web")
    assert caught.value.status.reason == "NotFound"


def test_an_object_is_applied(client: Client):
    wanted = Deployment.from_dict(deployment("web"))
    made = client.apply(wanted)
    assert client.apply(wanted).metadata.resourceVersion == made.metadata.resourceVersion
    wanted.spec.replicas = 5
    with pytest.raises(ApiError) as caught:
        client.apply(wanted, field_manager="other")
    assert caught.value.status.code == 409
    assert client.apply(wanted, field_manager="other", force=True).spec.replicas == 5


def test_a_list_of_many_is_read_in_pages(client: Client):
    for index in range(5):
        client.create(configmap(f"c{index}"))
    assert len(list(client.list(ConfigMap, labels={"app": "a"}, chunk_size=2))) == 5


def test_a_watch_is_told_of_lost_history(client: Client):
    with pytest.raises(ApiError) as caught:
        for _ in client.watch(ConfigMap, resource_version="1", server_timeout=5):
            pass
    assert caught.value.status.code == 410
    client.create(configmap("a"))
    operation, seen = next(iter(client.watch(ConfigMap, server_timeout=5)))
    assert (operation, seen.metadata.name) in (("ADDED", "a"), ("ADDED", "kube-root-ca.crt"))


def test_a_watch_and_calls_outlive_an_apiserver(world: World, client: Client, namespace: str):
    listed = client.list(ConfigMap)
    assert "z" not in [item.metadata.name for item in listed]  # Only when it was read does it know its revision.
    revision = listed.resourceVersion
    seen: list[str] = []

    def follow(revision: str) -> None:
        # Its watch goes on by itself when a stream breaks; but not if that happens before the first byte.
        own = client_of(world, namespace)
        while "z" not in seen:
            with contextlib.suppress(*DEATH):
                for _, item in own.watch(ConfigMap, resource_version=revision, on_error=on_error_retry):
                    seen.append(item.metadata.name)
                    revision = item.metadata.resourceVersion
                    if seen[-1] == "z":
                        return

    follower = threading.Thread(target=follow, args=(revision,), daemon=True)
    follower.start()
    for name in ("x", "y"):
        with world.one_server_dead():
            until(lambda name=name: client.create(configmap(name)), failures=DEATH)
    until(lambda: client.create(configmap("z")), failures=DEATH)
    follower.join(10)
    assert [name for name in seen if name != "kube-root-ca.crt"] == ["x", "y", "z"]
