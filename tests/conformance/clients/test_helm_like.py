"""What helm does with a server: releases in Secrets of its own type, dry runs, server-side apply."""

import base64
import gzip
import json
from collections.abc import Iterator

import pytest
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic import DynamicClient

from .test_python_client import deployment
from .world import World

pytestmark = pytest.mark.slow


@pytest.fixture
def api(world: World) -> Iterator[client.ApiClient]:
    with config.new_client_from_config(str(world.kubeconfig())) as made:
        yield made


def release(version: int, status: str) -> client.V1Secret:
    packed = base64.b64encode(gzip.compress(json.dumps({"name": "app", "version": version}).encode())).decode()
    labels = {"owner": "helm", "name": "app", "status": status, "version": str(version)}
    return client.V1Secret(
        metadata=client.V1ObjectMeta(name=f"sh.helm.release.v1.app.v{version}", labels=labels),
        type="helm.sh/release.v1",
        string_data={"release": packed},
    )


def test_releases_are_kept_in_secrets(api: client.ApiClient, namespace: str):
    core = client.CoreV1Api(api)
    core.create_namespaced_secret(namespace, release(1, "deployed"))
    core.create_namespaced_secret(namespace, release(2, "pending-upgrade"))
    with pytest.raises(ApiException) as caught:  # That is how helm notices another helm.
        core.create_namespaced_secret(namespace, release(2, "pending-upgrade"))
    assert caught.value.status == 409
    found = core.list_namespaced_secret(namespace, label_selector="name=app,owner=helm,status=deployed")
    assert [item.metadata.name for item in found.items] == ["sh.helm.release.v1.app.v1"]
    packed = base64.b64decode(base64.b64decode(found.items[0].data["release"]))
    assert json.loads(gzip.decompress(packed)) == {"name": "app", "version": 1}
    for item, status in ((found.items[0], "superseded"), (release(2, "deployed"), "deployed")):
        item.metadata.labels["status"] = status
        core.replace_namespaced_secret(item.metadata.name, namespace, item)
    by_type = core.list_namespaced_secret(namespace, field_selector="type=helm.sh/release.v1")
    assert [item.metadata.labels["status"] for item in by_type.items] == ["superseded", "deployed"]
    with pytest.raises(ApiException) as caught:
        changed = release(1, "deployed")
        changed.type = "helm.sh/release.v2"
        core.replace_namespaced_secret("sh.helm.release.v1.app.v1", namespace, changed)
    assert (caught.value.status, "field is immutable" in caught.value.body) == (422, True)


def test_manifests_are_tried_then_applied(api: client.ApiClient, namespace: str):
    deployments = DynamicClient(api).resources.get(api_version="apps/v1", kind="Deployment")
    call = {"namespace": namespace, "name": "web", "field_manager": "helm"}
    tried = deployments.server_side_apply(body=deployment("web"), dry_run="All", **call)
    assert (tried.metadata.name, tried.spec.replicas) == ("web", 2)
    assert deployments.get(namespace=namespace).items == []
    deployments.server_side_apply(body=deployment("web"), **call)
    fewer = deployment("web")
    del fewer["spec"]["replicas"]  # type: ignore[attr-defined]
    fewer["metadata"]["annotations"] = {"meta.helm.sh/release-name": "app"}  # type: ignore[index]
    upgraded = deployments.server_side_apply(body=fewer, **call)
    assert upgraded.spec.replicas == 1  # What is no longer said falls back to its default.
    assert [item.manager for item in upgraded.metadata.managedFields] == ["helm"]
