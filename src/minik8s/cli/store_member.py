"""`minik8s store member`: who the members of a running store are, and changing that."""

import click

from minik8s.cli.store_client import StoreClient, store_client


@click.group("member")
def command() -> None:
    """List, add, promote and remove the members of a running store.

    \b
    minik8s store member list
    minik8s store member add s4 https://127.0.0.1:2680
    minik8s store member remove s1
    """


@command.command("list")
@store_client
def list_members(client: StoreClient) -> None:
    """Tell of each member: id, state, name, peer URLs, client URLs, whether a learner."""
    _print(_members(client))


@command.command()
@click.argument("name")
@click.argument("peer_url")
@click.option("--learner", is_flag=True, help="It gets all data and has no vote until it is promoted.")
@store_client
def add(client: StoreClient, name: str, peer_url: str, learner: bool) -> None:
    """Let NAME, reached at PEER_URL, into the cluster; then start it with the flags this prints."""
    from minik8s.wire.etcd import rpc_pb2

    scheme, separator, address = peer_url.partition("://")
    if not separator:
        raise click.UsageError(f"{peer_url!r} is not http(s)://HOST:PORT")
    request = rpc_pb2.MemberAddRequest(peerURLs=[f"{scheme}://{name}@{address}"], isLearner=learner)
    added = client.call("Cluster/MemberAdd", request, rpc_pb2.MemberAddResponse)
    click.echo(f"Member {added.member.ID:x} added. Start it with:")
    names = {member.ID: member.name for member in added.members} | {added.member.ID: name}
    cluster = ",".join(f"{names[member.ID]}={url}" for member in added.members for url in member.peerURLs)
    click.echo(f"  --name {name} --initial-cluster {cluster} --initial-cluster-state existing")


@command.command()
@click.argument("name")
@store_client
def promote(client: StoreClient, name: str) -> None:
    """Give the learner NAME (or its id) a vote."""
    from minik8s.wire.etcd import rpc_pb2

    request = rpc_pb2.MemberPromoteRequest(ID=_id(client, name))
    _print(client.call("Cluster/MemberPromote", request, rpc_pb2.MemberPromoteResponse).members)


@command.command()
@click.argument("name")
@store_client
def remove(client: StoreClient, name: str) -> None:
    """Take NAME (or its id) out of the cluster; it stops, and its data is of no more use."""
    from minik8s.wire.etcd import rpc_pb2

    request = rpc_pb2.MemberRemoveRequest(ID=_id(client, name))
    _print(client.call("Cluster/MemberRemove", request, rpc_pb2.MemberRemoveResponse).members)


def _members(client: StoreClient):  # type: ignore[no-untyped-def]  # messages, imported when they are needed
    from minik8s.wire.etcd import rpc_pb2

    request = rpc_pb2.MemberListRequest(linearizable=True)
    return client.call("Cluster/MemberList", request, rpc_pb2.MemberListResponse).members


def _id(client: StoreClient, name: str) -> int:
    found = [member.ID for member in _members(client) if name in (member.name, f"{member.ID:x}")]
    if not found:
        raise click.ClickException(f"there is no member {name}")
    return int(found[0])


def _print(members) -> None:  # type: ignore[no-untyped-def]
    for member in members:
        state = "started" if member.name else "unstarted"
        fields = [f"{member.ID:x}", state, member.name, ",".join(member.peerURLs), ",".join(member.clientURLs)]
        click.echo(", ".join([*fields, str(member.isLearner).lower()]))
