"""`minik8s kubelet`: makes a node of this machine."""

import os
import platform
import re
from pathlib import Path
from typing import Any

import click

from minik8s.cli.client_flags import client_flags, connect
from minik8s.kit import ids, log, run
from minik8s.kit.clock import SystemClock
from minik8s.kit.tls import Identity


@click.command(
    epilog="""\b
Example:
  minik8s kubelet --hostname-override n1 --node-ip 127.0.0.1 --port 10250 --root-dir /tmp/n1/kubelet \\
    --container-runtime-endpoint unix:///tmp/n1/cri.sock --server 127.0.0.1:7443 \\
    --certificate-authority ca.crt --client-certificate n1.crt --client-key n1.key \\
    --tls-cert-file n1.crt --tls-private-key-file n1.key --client-ca-file ca.crt"""
)
@click.option("--hostname-override", default=platform.node, help="The node's name. Default: the host's.")
@click.option("--node-ip", default="127.0.0.1", show_default=True, help="The node's address.")
@click.option("--port", default=10250, show_default=True, help="Of the HTTPS server, on the node's address.")
@click.option("--root-dir", required=True, type=click.Path(path_type=Path, file_okay=False), help="Volumes and logs.")
@click.option("--container-runtime-endpoint", required=True, help="A CRI runtime: unix:///path.")
@click.option("--tls-cert-file", required=True, type=click.Path(path_type=Path), help="The HTTPS server's certificate.")
@click.option("--tls-private-key-file", required=True, type=click.Path(path_type=Path), help="And its key.")
@click.option("--client-ca-file", required=True, type=click.Path(path_type=Path), help="Authority of its clients.")
@client_flags
@click.option("--pod-cidr", default="", help="Addresses of pods. Default: the Node's spec.podCIDR.")
@click.option("--node-labels", default="", help="NAME=VALUE[,NAME=VALUE…].")
@click.option("--node-capacity", default="", help="cpu=N,memory=Q,pods=N. Default: the machine's, and 110 pods.")
@click.option(
    "--container-restart-backoff", default=10.0, show_default=True, help="Seconds before the second restart, doubling."
)
@click.option("--log-level", default="info", show_default=True, help="debug, info, warning or error.")
@click.option("--health-port", default=0, show_default=True, help="/readyz and /metrics on 127.0.0.1; 0: none.")
def command(
    hostname_override: str,
    node_ip: str,
    port: int,
    root_dir: Path,
    container_runtime_endpoint: str,
    tls_cert_file: Path,
    tls_private_key_file: Path,
    client_ca_file: Path,
    pod_cidr: str,
    node_labels: str,
    node_capacity: str,
    container_restart_backoff: float,
    log_level: str,
    health_port: int,
    **server: Any,
) -> None:
    """Make a node of this machine, with any CRI runtime.

    Ended or killed, it leaves the pods running; started again, it goes on with them.
    """
    from minik8s.client.client import Client
    from minik8s.node.kubelet.crash_loop import CrashLoopPolicy
    from minik8s.node.kubelet.kubelet import Config, Kubelet
    from minik8s.node.kubelet.node import Machine

    log.configure(log_level)
    machine = Machine(
        name=hostname_override.lower(),
        ip=node_ip,
        port=port,
        capacity=_machine_capacity() | _pairs("--node-capacity", node_capacity),
        labels=_pairs("--node-labels", node_labels),
        kernel=platform.release(),
        os_image=_os_image(),
        architecture={"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine()),
        machine_id=_read("/etc/machine-id"),
        boot_id=_read("/proc/sys/kernel/random/boot_id"),
    )
    config = Config(
        machine=machine,
        root=root_dir.absolute(),
        runtime_endpoint=container_runtime_endpoint,
        identity=Identity(tls_cert_file, tls_private_key_file, client_ca_file),
        pod_cidr=pod_cidr,
        crash_loop=CrashLoopPolicy(first_s=container_restart_backoff, max_s=30 * container_restart_backoff),
    )
    client = Client(connect(**server), field_manager="kubelet")
    kubelet = Kubelet(config, client, clock=SystemClock(), rng=ids.system_random())
    raise SystemExit(run.serve(kubelet, health_address=("127.0.0.1", health_port) if health_port else None))


def _pairs(flag: str, text: str) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in text.split(",") if pair]
    if wrong := [name for name, sign, value in pairs if not (name and sign and value)]:
        raise click.BadParameter(f"{wrong[0]!r} is not NAME=VALUE", param_hint=flag)
    return {name: value for name, _, value in pairs}


def _machine_capacity() -> dict[str, str]:
    found = re.search(r"^MemTotal:\s+(\d+) kB", _read("/proc/meminfo"), re.MULTILINE)
    return {"cpu": str(os.cpu_count() or 1), "memory": f"{found[1] if found else 0}Ki", "pods": "110"}


def _os_image() -> str:
    found = re.search(r'^PRETTY_NAME="?([^"\n]*)', _read("/etc/os-release"), re.MULTILINE)
    return found[1] if found else "Linux"


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
