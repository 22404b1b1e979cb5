"""A whole node: apiserver, kubelet and runtime, with real programs."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from minik8s.api.coordination_v1 import LEASES
from minik8s.api.core_v1 import CONFIGMAPS, EVENTS, NODES, PODS
from minik8s.kit.tls import client_context
from tests.node.kubelet.world import World, in_phase, is_gone, is_ready, world
from tests.node.runtime.process import is_alive, until

pytestmark = pytest.mark.slow


def run(home: Path, scenario) -> None:
    async def main() -> None:
        async with world(home) as found, found.running_kubelet():
            await scenario(found)

    asyncio.run(main())


def container_state(pod, index: int = 0):
    return pod.status.containerStatuses[index]


async def event_reasons(found: World, name: str) -> set[str]:
    events = await found.client.list(EVENTS, namespace="default")
    return {event.reason for event in events.items if event.involvedObject.name == name}


def test_a_pod_runs_with_its_address_and_goes_politely(tmp_path):
    async def scenario(w: World):
        script = "trap 'echo bye; exit 0' TERM; echo $POD_IP $HOSTNAME $NAME; while :; do sleep 0.05; done"
        env = [{"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
        await w.create("web", "sh", "-c", script, container={"env": env})
        pod = await w.wait("web", is_ready)
        assert pod.status.phase == "Running"
        assert pod.status.podIP == "127.77.1.2"
        assert container_state(pod).state.running
        assert container_state(pod).containerID.startswith("minik8s://")
        await w.logged("web", "127.77.1.2 web web")
        await w.client.delete(PODS, "web", namespace="default")
        await w.wait("web", is_gone)

        async def nothing_left() -> bool:
            places = [
                tmp_path / place for place in ("kubelet/pods", "kubelet/logs", "root/containers", "root/sandboxes")
            ]
            return not any(list(place.glob("*")) for place in places)

        await until(nothing_left)

        async def has_events() -> bool:
            return {"Created", "Started", "Killing"} <= await event_reasons(w, "web")

        await until(has_events)

    run(tmp_path, scenario)


def test_the_node_is_ready_and_keeps_its_lease(tmp_path):
    async def scenario(w: World):
        async def node_ready() -> bool:
            nodes = (await w.client.list(NODES)).items
            return any(is_ready(node) for node in nodes)

        await until(node_ready)
        node = await w.client.get(NODES, "n1")
        assert node.status.daemonEndpoints.kubeletEndpoint.Port == w.port
        assert node.metadata.labels["kubernetes.io/hostname"] == "n1"
        assert node.status.nodeInfo.containerRuntimeVersion.startswith("minik8s://")

        async def has_lease() -> bool:
            leases = (await w.client.list(LEASES, namespace="kube-node-lease")).items
            return [lease.spec.holderIdentity for lease in leases] == ["n1"]

        await until(has_lease)

    run(tmp_path, scenario)


@pytest.mark.parametrize(
    ("policy", "script", "phase", "reason", "code"),
    [
        ("Never", "exit 0", "Succeeded", "Completed", 0),
        ("Never", "exit 3", "Failed", "Error", 3),
        ("OnFailure", "exit 0", "Succeeded", "Completed", 0),
        # Fails once, then not: the file is kept from one attempt to the next by the volume.
        ("OnFailure", "[ -e data/was ] || { touch data/was; exit 1; }", "Succeeded", "Completed", 0),
    ],
)
def test_a_pod_that_ends_tells_how(tmp_path, policy, script, phase, reason, code):
    async def scenario(w: World):
        volumes = [{"name": "data", "emptyDir": {}}]
        container = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
        await w.create("job", "sh", "-c", script, restartPolicy=policy, volumes=volumes, container=container)
        pod = await w.wait("job", in_phase(phase))
        ended = container_state(pod).state.terminated
        assert (ended.reason, ended.exitCode) == (reason, code)
        assert not is_ready(pod)

    run(tmp_path, scenario)


def test_a_crashing_container_is_restarted_ever_more_slowly(tmp_path):
    async def scenario(w: World):
        await w.create("crash", "sh", "-c", "echo again; exit 1")

        def backs_off(pod) -> bool:
            waiting = pod.status and pod.status.containerStatuses and container_state(pod).state.waiting
            return bool(waiting) and waiting.reason == "CrashLoopBackOff" and container_state(pod).restartCount >= 2

        pod = await w.wait("crash", backs_off)
        assert container_state(pod).lastState.terminated.exitCode == 1
        assert "restarting failed container=c" in container_state(pod).state.waiting.message
        assert pod.status.phase == "Running"
        assert len(list((tmp_path / "root/containers").iterdir())) <= 3  # older attempts are removed

    run(tmp_path, scenario)


@pytest.mark.parametrize(
    ("container", "reason", "message"),
    [
        pytest.param({"command": None}, "CreateContainerError", "cannot run the image", id="image without a command"),
        pytest.param({"command": ["nonesuch"]}, "RunContainerError", "executable file not found", id="no such program"),
        pytest.param(
            {"envFrom": [{"configMapRef": {"name": "missing"}}]},
            "CreateContainerConfigError",
            'configmap "missing" not found',
            id="no such configmap",
        ),
    ],
)
def test_what_cannot_start_says_why(tmp_path, container, reason, message):
    async def scenario(w: World):
        await w.create("bad", "true", container=container)

        def waits(pod) -> bool:
            waiting = pod.status and pod.status.containerStatuses and container_state(pod).state.waiting
            return bool(waiting) and waiting.reason == reason

        pod = await w.wait("bad", waits)
        assert message in container_state(pod).state.waiting.message
        await w.client.delete(PODS, "bad", namespace="default")
        await w.wait("bad", is_gone)

    run(tmp_path, scenario)


def test_init_containers_run_first_one_after_another(tmp_path):
    async def scenario(w: World):
        mount = {"volumeMounts": [{"name": "data", "mountPath": "/data"}], "image": "x"}

        def init(name: str, script: str) -> dict:
            return {"name": name, "command": ["sh", "-c", script], **mount}

        await w.create(
            "ordered", "sh", "-c", "cat data/steps; exec sleep 1000",
            container=mount, volumes=[{"name": "data", "emptyDir": {}}],
            initContainers=[init("one", "echo one >>data/steps"), init("two", "echo two >>data/steps")],
        )  # fmt: skip
        pod = await w.wait("ordered", is_ready)
        await w.logged("ordered", "one", "two")
        assert [status.state.terminated.reason for status in pod.status.initContainerStatuses] == ["Completed"] * 2

    run(tmp_path, scenario)


def test_readiness_and_liveness_are_probed(tmp_path):
    async def scenario(w: World):
        def probe(test: str) -> dict:
            return {
                "exec": {"command": ["sh", "-c", test]},
                "periodSeconds": 1, "failureThreshold": 1, "successThreshold": 1, "timeoutSeconds": 1,
            }  # fmt: skip

        container = {
            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            "readinessProbe": probe("[ -e data/ready ]"),
            "livenessProbe": probe("[ ! -e data/dead ]"),
        }
        volumes = [{"name": "data", "emptyDir": {}}]
        await w.create("probed", "sleep", "1000", container=container, volumes=volumes)
        pod = await w.wait("probed", in_phase("Running"))
        assert not is_ready(pod)
        data = tmp_path / "kubelet/pods" / pod.metadata.uid / "volumes/kubernetes.io~empty-dir/data"
        (data / "ready").touch()
        await w.wait("probed", is_ready)
        (data / "dead").touch()
        pod = await w.wait("probed", lambda pod: container_state(pod).restartCount == 1)

        async def has_event() -> bool:
            return "Unhealthy" in await event_reasons(w, "probed")

        await until(has_event)

    run(tmp_path, scenario)


def test_the_pre_stop_hook_comes_before_the_signal(tmp_path):
    async def scenario(w: World):
        lifecycle = {"preStop": {"exec": {"command": ["sh", "-c", "echo hook >>$CONTAINER_ROOT/../../../../told"]}}}
        script = (
            "trap 'echo signal >>$CONTAINER_ROOT/../../../../told; exit 0' TERM; echo up; while :; do sleep 0.05; done"
        )
        await w.create("hooked", "sh", "-c", script, container={"lifecycle": lifecycle})
        await w.logged("hooked", "up")
        await w.client.delete(PODS, "hooked", namespace="default")
        await w.wait("hooked", is_gone)
        assert (tmp_path / "told").read_text().split() == ["hook", "signal"]

    run(tmp_path, scenario)


def test_a_shorter_grace_period_cuts_a_stubborn_pod_short(tmp_path):
    async def scenario(w: World):
        script = "trap '' TERM; echo up; while :; do sleep 0.05; done"
        await w.create("stubborn", "sh", "-c", script, terminationGracePeriodSeconds=600)
        await w.logged("stubborn", "up")
        pod = await w.wait("stubborn", is_ready)
        container = container_state(pod).containerID.removeprefix("minik8s://")
        pid = int((tmp_path / "root/containers" / container / "pid").read_text().split()[0])
        await w.client.delete(PODS, "stubborn", namespace="default")
        await w.wait("stubborn", lambda pod: pod.metadata.deletionTimestamp is not None)
        await w.client.delete(PODS, "stubborn", namespace="default", grace_period_s=0)
        await w.wait("stubborn", is_gone)

        async def is_dead() -> bool:
            return not is_alive(pid)

        await until(is_dead)

    run(tmp_path, scenario)


def test_configmaps_become_files_and_variables(tmp_path):
    async def scenario(w: World):
        document = {"metadata": {"name": "settings"}, "data": {"COLOUR": "green", "page.html": "<p>hi</p>\n"}}
        await w.client.create(CONFIGMAPS, document, namespace="default")
        container = {
            "envFrom": [{"configMapRef": {"name": "settings"}}],
            "env": [{"name": "TEXT", "value": "$(COLOUR) at $(POD_IP)"}],
            "volumeMounts": [{"name": "files", "mountPath": "/srv"}],
        }
        volumes = [{"name": "files", "configMap": {"name": "settings"}}]
        script = "echo $TEXT; cat srv/page.html; exec sleep 1000"
        await w.create("cm", "sh", "-c", script, container=container, volumes=volumes)
        await w.logged("cm", "green at 127.77.1.2", "<p>hi</p>")

    run(tmp_path, scenario)


def test_a_killed_kubelet_leaves_pods_running_and_its_successor_goes_on(tmp_path):
    async def main() -> None:
        async with world(tmp_path) as w:
            async with w.running_kubelet():
                await w.create("kept", "sh", "-c", "echo $$ >>$CONTAINER_ROOT/../../../../pids; exec sleep 1000")
                await w.create("lost", "sleep", "1000")
                kept = await w.wait("kept", is_ready)
                await w.wait("lost", is_ready)
            await w.client.delete(PODS, "lost", namespace="default", grace_period_s=0)
            await w.wait("lost", is_gone)
            await w.create("fresh", "sleep", "1000")
            async with w.running_kubelet():
                await w.wait("fresh", is_ready)
                pod = await w.get("kept")
                assert container_state(pod).containerID == container_state(kept).containerID
                assert len((tmp_path / "pids").read_text().split()) == 1

                async def only_two_left() -> bool:
                    return len(list((tmp_path / "root/sandboxes").iterdir())) == 2

                await until(only_two_left)

    asyncio.run(main())


def test_a_killed_runtime_costs_no_container(tmp_path):
    async def scenario(w: World):
        await w.create("kept", "sleep", "1000")
        before = await w.wait("kept", is_ready)
        await w.runtime.kill()
        await w.runtime.start()
        await w.create("after", "sleep", "1000")
        await w.wait("after", is_ready)
        pod = await w.get("kept")
        assert container_state(pod).containerID == container_state(before).containerID
        assert is_ready(pod)

    run(tmp_path, scenario)


def test_logs_are_served_to_the_apiserver_and_to_nobody_else(tmp_path):
    async def scenario(w: World):
        script = "echo one; echo two; while [ ! -e go ]; do sleep 0.02; done; echo three"
        await w.create("talker", "sh", "-c", script, restartPolicy="Never")
        pod = await w.wait("talker", is_ready)
        url = f"https://127.0.0.1:{w.port}/containerLogs/default/talker/c"
        context = client_context(
            w.authority.issue("api", user="kube-apiserver-kubelet-client", groups=["system:masters"])
        )
        async with aiohttp.ClientSession() as session:

            async def fetch(query: str = "", path: str = url) -> tuple[int, str]:
                async with session.get(path + query, ssl=context) as response:
                    return response.status, await response.text()

            async def both_written() -> bool:
                return (await fetch())[1] == "one\ntwo\n"

            await until(both_written)
            assert await fetch("?tailLines=1") == (200, "two\n")
            assert await fetch("?limitBytes=5") == (200, "one\nt")
            assert await fetch("?sinceSeconds=1000&tailLines=5") == (200, "one\ntwo\n")
            assert await fetch("?sinceTime=2100-01-01T00:00:00Z") == (200, "")
            assert (await fetch("?timestamps=true"))[1].split("\n")[0].endswith("Z one")
            assert await fetch("?previous=true") == (
                400,
                'previous terminated container "c" in pod "talker" not found\n',
            )
            assert (await fetch("?tailLines=x"))[0] == 400
            assert (await fetch(path=url.replace("talker", "other")))[0] == 404
            assert (await fetch(path=url[:-1] + "d"))[0] == 404
            assert (await fetch(path=url.replace("containerLogs", "exec")))[0] == 501
            async with session.get(url + "?follow=true", ssl=context) as response:
                assert await response.content.readline() == b"one\n"
                container = container_state(pod).containerID.removeprefix("minik8s://")
                (tmp_path / "root/containers" / container / "rootfs/go").touch()
                assert await response.content.read() == b"two\nthree\n"
            stranger = client_context(w.authority.issue("stranger", user="someone"))
            async with session.get(url, ssl=stranger) as response:
                assert response.status == 403

    run(tmp_path, scenario)
