"""What a kubelet says of its machine."""

from minik8s.node.kubelet.node import Machine, has_changed, node_conditions, node_document, node_status

MACHINE = Machine(name="n1", ip="127.2.0.1", port=10250, capacity={"cpu": "2"}, labels={"zone": "a"})


def test_a_node_has_its_labels():
    labels = node_document(MACHINE)["metadata"]["labels"]
    assert (labels["kubernetes.io/hostname"], labels["kubernetes.io/os"], labels["zone"]) == ("n1", "linux", "a")


def test_a_node_is_ready_without_problems_and_its_conditions_keep_their_times():
    first = node_conditions([], [], "t1")
    assert [(found["type"], found["status"]) for found in first] == [
        ("MemoryPressure", "False"),
        ("DiskPressure", "False"),
        ("PIDPressure", "False"),
        ("Ready", "True"),
    ]
    second = node_conditions(["runtime is down"], first, "t2")
    assert [found["lastTransitionTime"] for found in second] == ["t1", "t1", "t1", "t2"]
    assert (second[-1]["reason"], second[-1]["message"]) == ("KubeletNotReady", "runtime is down")


def test_a_status_that_differs_in_heartbeats_alone_says_nothing_new():
    def status(problems: list[str], now: str):
        return node_status(MACHINE, "minik8s://1", node_conditions(problems, node_conditions([], [], "t0"), now))

    assert has_changed(None, status([], "t1"))
    assert not has_changed(status([], "t1"), status([], "t2"))
    assert has_changed(status([], "t1"), status(["down"], "t1"))
