"""`minik8s status`: every component of a cluster, its store's members, its nodes; exit code 1 if anything is unwell."""

import http.client
from pathlib import Path

import click
import msgspec

from minik8s.cli import health
from minik8s.cli.api import Api, is_node_ready
from minik8s.cli.certificates import Certificates
from minik8s.cli.cluster import Cluster, ClusterError, default_data_directory, load, names
from minik8s.cli.members import Member, ask
from minik8s.cli.process import cpu_s, memory_kib, uptime_s
from minik8s.cli.supervisor import TaskState, read_state


class ComponentStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One component: `health` is `ok` or what is wrong; memory is resident and proportional (docs of process.py)."""

    name: str
    pid: int
    restarts: int
    health: str
    port: int
    rss_kib: int
    pss_kib: int
    cpu_s: float
    uptime_s: float


class NodeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One node as the API knows it."""

    name: str
    ready: bool


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Everything `status` shows; its --json."""

    name: str
    running: bool
    api_url: str
    components: list[ComponentStatus] = []
    members: list[Member] = []
    nodes: list[NodeStatus] = []
    faults: list[str] = []


def gather(cluster: Cluster, directory: Path) -> Status:
    """Ask everything. Raises OSError when the certificates cannot be read."""
    state = read_state(directory)
    if state is None or not state.supervisor.is_alive():
        return Status(name=cluster.name, running=False, api_url=cluster.api_url, faults=["it is not running"])
    certificates = Certificates(cluster, directory / "pki")
    components = [_component(cluster, certificates, task) for task in state.tasks]
    names = cluster.store_names or cluster.store_urls
    asked = [
        ask(url, certificates.store_client(), name=name) for name, url in zip(names, cluster.store_urls, strict=True)
    ]
    nodes = _nodes(cluster, certificates)
    faults = [f"{found.name}: {found.health}" for found in components if found.health != "ok"]
    faults += [f"{member.name}: {member.error}" for member in asked if member.error]
    if not any(member.is_leader for member in asked):
        faults.append("the store has no leader")
    faults += [f"node {node.name} is not Ready" for node in nodes if not node.ready]
    missing = set(cluster.node_names) - {node.name for node in nodes}
    faults += [f"node {name} is not registered" for name in sorted(missing)]
    return Status(
        name=cluster.name,
        running=True,
        api_url=cluster.api_url,
        components=components,
        members=asked,
        nodes=nodes,
        faults=faults,
    )


def _component(cluster: Cluster, certificates: Certificates, task: TaskState) -> ComponentStatus:
    port = health.health_port(cluster, task.name)
    shown = cluster.ports.get(
        task.name, cluster.ports.get(f"{task.name}/rest", cluster.ports.get(f"{task.name}/client"))
    )
    if task.process is None or not task.process.is_alive():
        state, pid, rss, pss, cpu, uptime = f"down ({task.last_exit or 'starting'})", 0, 0, 0, 0.0, 0.0
    else:
        pid = task.process.pid
        rss, pss = memory_kib(pid)
        cpu, uptime = cpu_s(pid), uptime_s(task.process)
        state = health.ask(port) if port else _api_health(cluster, certificates, task.name)
    return ComponentStatus(
        name=task.name,
        pid=pid,
        restarts=task.restarts,
        health=state,
        port=shown or port or 0,
        rss_kib=rss,
        pss_kib=pss,
        cpu_s=cpu,
        uptime_s=round(uptime, 1),
    )


def _api_health(cluster: Cluster, certificates: Certificates, name: str) -> str:
    api = Api(f"https://127.0.0.1:{cluster.ports[f'{name}/rest']}", certificates.admin())
    return "ok" if api.is_ready() else "/readyz fails"


def _nodes(cluster: Cluster, certificates: Certificates) -> list[NodeStatus]:
    try:
        listed = Api(cluster.api_url, certificates.admin()).get("/api/v1/nodes")
    except (OSError, http.client.HTTPException):
        return []
    return [NodeStatus(name=node["metadata"]["name"], ready=is_node_ready(node)) for node in listed["items"]]


def render(status: Status) -> str:
    """The tables."""
    lines = [f"cluster {status.name}: {'running' if status.running else 'not running'}, {status.api_url}"]
    if status.components:
        header = ("COMPONENT", "PID", "PORT", "RESTARTS", "UPTIME", "RSS", "PSS", "HEALTH")
        lines += ["", *_table([header, *map(_component_row, status.components)])]
        total = sum(found.pss_kib for found in status.components) // 1024
        lines.append(f"memory of all (shared pages once): {total} MiB")
    if status.members:
        columns = ("STORE MEMBER", "ROLE", "TERM", "REVISION", "RAFT INDEX", "VERSION")
        lines += ["", *_table([columns, *map(_member_row, status.members)])]
    if status.nodes:
        rows = [(node.name, "Ready" if node.ready else "NotReady") for node in status.nodes]
        lines += ["", *_table([("NODE", "STATUS"), *rows])]
    if status.faults:
        lines += ["", *(f"unwell: {fault}" for fault in status.faults)]
    return "\n".join(lines)


def _component_row(found: ComponentStatus) -> tuple[str, ...]:
    port = str(found.port) if found.port else "-"
    memory = f"{found.rss_kib // 1024} MiB", f"{found.pss_kib // 1024} MiB"
    return found.name, str(found.pid or "-"), port, str(found.restarts), _age(found.uptime_s), *memory, found.health


def _member_row(member: Member) -> tuple[str, ...]:
    if member.error:
        return member.name, member.error, "-", "-", "-", "-"
    role = "leader" if member.is_leader else "follower"
    return member.name, role, str(member.term), str(member.revision), str(member.index), member.version


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _age(seconds: float) -> str:
    whole = int(seconds)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if whole >= size:
            return f"{whole // size}{unit}"
    return f"{whole}s"


@click.command()
@click.option("--name", default="default", show_default=True, help="The cluster.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where clusters live.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def command(name: str, data_dir: Path | None, as_json: bool) -> None:
    """Show every component of a cluster, its store's leader and revisions, its nodes.

    Exits with 1 when anything is unwell.

    \b
    minik8s status
    minik8s status --name b --json
    """
    try:
        data_dir = (data_dir or default_data_directory()).absolute()
        cluster = load(data_dir / name)
        if cluster is None:
            raise ClusterError(
                f"there is no cluster {name} in {data_dir} (there: {', '.join(names(data_dir)) or 'none'})"
            )
        status = gather(cluster, data_dir / name)
    except ClusterError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from error
    click.echo(msgspec.json.format(msgspec.json.encode(status)).decode() if as_json else render(status))
    raise SystemExit(1 if status.faults else 0)
