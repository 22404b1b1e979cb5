"""Volumes on the host's disk."""

import msgspec
import pytest

from minik8s.api.core_v1 import ConfigMap
from minik8s.node.kubelet import volumes
from minik8s.node.kubelet.fields import Addresses
from tests.node.kubelet.factories import make_pod

ADDRESSES = Addresses(pod_ip="127.9.0.2", host_ip="10.0.0.1", allocatable={})


def configmap(**data: str) -> dict[str, ConfigMap]:
    return {"cm": msgspec.convert({"metadata": {"name": "cm"}, "data": data}, ConfigMap)}


def test_a_configmap_becomes_files_that_follow_it(tmp_path):
    pod = make_pod(volumes=[{"name": "v", "configMap": {"name": "cm"}}])
    place = tmp_path / "volumes/kubernetes.io~configmap/v"
    for data in ({"a": "1", "b": "2"}, {"a": "1", "b": "3"}, {"b": "3", "c": "4"}, {}):
        volumes.set_up(tmp_path, pod, configmap(**data), {}, ADDRESSES)
        assert {path.name: path.read_text() for path in place.iterdir() if not path.name.startswith("..")} == data
        assert len([path for path in place.iterdir() if path.name.startswith("..")]) == 2  # ..data and what it leads to


def test_keys_may_be_given_paths(tmp_path):
    items = [{"key": "a", "path": "deep/er/x"}]
    pod = make_pod(volumes=[{"name": "v", "configMap": {"name": "cm", "items": items}}])
    volumes.set_up(tmp_path, pod, configmap(a="1", b="2"), {}, ADDRESSES)
    place = tmp_path / "volumes/kubernetes.io~configmap/v"
    assert (place / "deep/er/x").read_text() == "1"
    assert not (place / "b").exists()


def test_the_downward_api_tells_of_the_pod(tmp_path):
    items = [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]
    pod = make_pod(volumes=[{"name": "v", "projected": {"sources": [{"downwardAPI": {"items": items}}]}}])
    volumes.set_up(tmp_path, pod, {}, {}, ADDRESSES)
    assert (tmp_path / "volumes/kubernetes.io~projected/v/name").read_text() == "web"


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        ({"configMap": {"name": "none"}}, 'configmap "none" not found'),
        ({"configMap": {"name": "cm", "items": [{"key": "z", "path": "z"}]}}, "non-existent config key: z"),
        ({"configMap": {"name": "cm", "items": [{"key": "a", "path": "../z"}]}}, "must stay within its volume"),
        ({"secret": {"secretName": "s"}}, "secret is not supported yet"),
        ({"persistentVolumeClaim": {"claimName": "s"}}, "persistentVolumeClaim is not supported yet"),
        ({"hostPath": {"path": "/nonesuch", "type": "Directory"}}, "/nonesuch is not a Directory"),
    ],
)
def test_what_cannot_be_set_up_says_why(tmp_path, volume, message):
    with pytest.raises(volumes.VolumeError, match=message):
        volumes.set_up(tmp_path, make_pod(volumes=[{"name": "v"} | volume]), configmap(a="1"), {}, ADDRESSES)


def test_mounts_lead_to_volumes_and_their_sub_paths(tmp_path):
    mounts = [
        {"name": "e", "mountPath": "/data"},
        {"name": "e", "mountPath": "/sub", "subPathExpr": "$(POD)/x", "readOnly": True},
        {"name": "h", "mountPath": "/host"},
    ]
    pod = make_pod(
        containers=[{"name": "c", "volumeMounts": mounts}],
        volumes=[{"name": "e", "emptyDir": {}}, {"name": "h", "hostPath": {"path": "/tmp"}}],
    )
    place = tmp_path / "volumes/kubernetes.io~empty-dir/e"
    assert volumes.mounts(tmp_path, pod, pod.spec.containers[0], {"POD": "web"}) == [
        volumes.Mount("/data", str(place), False),
        volumes.Mount("/sub", str(place / "web/x"), True),
        volumes.Mount("/host", "/tmp", False),
    ]
    assert (place / "web/x").is_dir()


def test_a_sub_path_cannot_leave_its_volume(tmp_path):
    container = {"name": "c", "volumeMounts": [{"name": "e", "mountPath": "/data", "subPath": "../../x"}]}
    pod = make_pod(containers=[container], volumes=[{"name": "e", "emptyDir": {}}])
    with pytest.raises(volumes.VolumeError, match="must stay within its volume"):
        volumes.mounts(tmp_path, pod, pod.spec.containers[0], {})
