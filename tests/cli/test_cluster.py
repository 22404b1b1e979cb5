"""Records: sizes and names that are possible, addresses that stay and differ from the neighbours'."""

import random
import socket
from pathlib import Path

import pytest

from minik8s.cli import addresses, cluster, components
from minik8s.cli.certificates import Certificates
from minik8s.cli.cluster import Cluster, ClusterError, ExternalStore
from minik8s.cli.record import Wanted, settle


def wanted(name: str = "a", **options: object) -> Wanted:
    return Wanted(name=name, **options)


def test_a_new_cluster_has_the_default_size(tmp_path: Path) -> None:
    made = settle(tmp_path / "a", wanted())
    assert (made.stores, made.apiservers, made.nodes) == (3, 2, 2)
    assert cluster.load(tmp_path / "a") == made


def test_everything_that_listens_has_a_port_of_its_own(tmp_path: Path) -> None:
    made = settle(tmp_path / "a", wanted())
    assert set(made.ports) == set(made.listeners())
    assert len(set(made.ports.values())) == len(made.ports)
    assert all(port in addresses.PORTS for port in made.ports.values())


def test_the_record_is_kept_when_nothing_new_is_asked(tmp_path: Path) -> None:
    made = settle(tmp_path / "a", wanted(stores=1, kubeconfig="/f"))
    assert settle(tmp_path / "a", wanted()) == made


def test_growing_keeps_addresses_and_adds_some(tmp_path: Path) -> None:
    made = settle(tmp_path / "a", wanted(nodes=1))
    grown = settle(tmp_path / "a", wanted(nodes=3))
    assert grown.network == made.network
    assert grown.ports.items() > made.ports.items()


def test_neighbours_share_neither_ports_nor_networks(tmp_path: Path) -> None:
    made = [settle(tmp_path / name, wanted(name), random.Random(1)) for name in ("a", "b", "c")]
    assert len({neighbour.network for neighbour in made}) == 3
    ports = [port for neighbour in made for port in neighbour.ports.values()]
    assert len(set(ports)) == len(ports)


def test_ports_in_use_and_networks_in_use_are_passed_over() -> None:
    rng, same = random.Random(7), random.Random(7)
    first = addresses.free_port(set(), rng)
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", first))
        busy.listen()
        assert addresses.free_port(set(), same) != first
    network = addresses.free_network(set(), random.Random(7))
    with addresses.claim(addresses.claim_name(network)):
        assert addresses.free_network(set(), random.Random(7)) != network


def test_running_out_is_said() -> None:
    with pytest.raises(addresses.NoneFreeError):
        addresses.free_network(addresses.NETWORKS, random.Random(1))
    with pytest.raises(addresses.NoneFreeError):
        addresses.free_port(addresses.PORTS, random.Random(1))


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("Bad", {}, "lower-case"),
        ("../x", {}, "lower-case"),
        ("a" * 41, {}, "up to 40"),
        ("a", {"stores": 0}, "--stores 0: from 1 to 7"),
        ("a", {"apiservers": 10}, "--apiservers 10"),
        ("a", {"nodes": -1}, "--nodes -1"),
    ],
)
def test_impossible_clusters_are_refused(tmp_path: Path, name: str, size: dict, message: str) -> None:
    with pytest.raises(ClusterError, match=message):
        settle(tmp_path / "d", wanted(name, **size))
    assert not (tmp_path / "d").exists()


def test_a_directory_too_deep_for_unix_sockets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="shorter --data-dir"):
        settle(tmp_path / ("d" * 100) / "a", wanted())


def test_the_store_of_a_cluster_cannot_be_exchanged(tmp_path: Path) -> None:
    settle(tmp_path / "a", wanted(stores=1))
    with pytest.raises(ClusterError, match="has 1 stores, not 3"):
        settle(tmp_path / "a", wanted(stores=3))
    with pytest.raises(ClusterError, match="store of its own"):
        settle(tmp_path / "a", wanted(store=ExternalStore(endpoints=["http://127.0.0.1:2379"])))


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/cluster.json").write_text("{")
    with pytest.raises(ClusterError, match=r"a/cluster\.json"):
        settle(tmp_path / "a", wanted())


def plan_of(made: Cluster, directory: Path) -> dict[str, list[str]]:
    certificates = Certificates(made, directory / "pki")
    return {task.name: task.args for task in components.plan(made, directory, certificates).tasks}


def value(args: list[str], flag: str) -> str:
    return args[args.index(flag) + 1]


def test_the_plan_of_the_default_cluster_names_every_component(tmp_path: Path) -> None:
    made = settle(tmp_path / "a", wanted())
    assert list(plan_of(made, tmp_path / "a")) == [
        *("store-0", "store-1", "store-2", "apiserver-0", "apiserver-1", "loadbalancer", "controllers"),
        *("runtime-node-0", "kubelet-node-0", "runtime-node-1", "kubelet-node-1"),
        *("scheduler", "proxy"),
    ]


def test_one_api_server_needs_no_balancer(tmp_path: Path) -> None:
    made = settle(tmp_path / "a", wanted(apiservers=1))
    assert "loadbalancer" not in plan_of(made, tmp_path / "a")
    assert made.api_url.endswith(str(made.ports["apiserver-0/rest"]))


def test_components_find_each_other(tmp_path: Path) -> None:
    made = settle(tmp_path / "a", wanted())
    plan = plan_of(made, tmp_path / "a")
    assert value(plan["apiserver-1"], "--etcd-servers").split(",") == made.store_urls
    grpc = [f"127.0.0.1:{value(plan[name], '--grpc-port')}" for name in made.apiserver_names]
    assert value(plan["scheduler"], "--server").split(",") == grpc
    endpoint = value(plan["kubelet-node-1"], "--container-runtime-endpoint")
    assert endpoint == value(plan["runtime-node-1"], "--listen")
    assert value(plan["kubelet-node-0"], "--node-ip") != value(plan["kubelet-node-1"], "--node-ip")


def test_every_file_in_the_plan_is_issued(tmp_path: Path) -> None:
    made = settle(tmp_path / "a", wanted())
    Certificates(made, tmp_path / "a/pki").issue_all()
    files = [arg for args in plan_of(made, tmp_path / "a").values() for arg in args if arg.endswith((".crt", ".key"))]
    assert files
    assert all(Path(file).exists() for file in files)


def test_a_given_store_starts_none_and_is_passed_on(tmp_path: Path) -> None:
    store = ExternalStore(endpoints=["https://10.0.0.1:2379"], ca_file="/ca", cert_file="/c", key_file="/k")
    made = settle(tmp_path / "a", wanted(store=store))
    plan = plan_of(made, tmp_path / "a")
    assert not [name for name in plan if name.startswith("store")]
    assert value(plan["apiserver-0"], "--etcd-servers") == "https://10.0.0.1:2379"
    assert value(plan["apiserver-0"], "--etcd-cafile") == "/ca"
