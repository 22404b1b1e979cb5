"""`minik8s store snapshot`: back a store up into a file, look at one, and start a new cluster from one."""

import hashlib
import os
from pathlib import Path

import click

from minik8s.cli.store_client import StoreClient, store_client

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group("snapshot")
def command() -> None:
    """Back up a store, and start a new cluster from a backup.

    \b
    minik8s store snapshot save backup.db --endpoints 127.0.0.1:2379
    minik8s store snapshot status backup.db
    minik8s store snapshot restore backup.db --name s1 --data-dir s1
    """


@command.command()
@click.argument("file", type=_FILE)
@store_client
def save(client: StoreClient, file: Path) -> None:
    """Write a backup of the running store to FILE, which appears when it is complete."""
    from minik8s.wire.etcd import rpc_pb2

    part = file.with_name(f"{file.name}.part")
    digest, tail = hashlib.sha256(), b""
    try:
        with part.open("wb") as target:
            part.chmod(0o600)
            for response in client.stream("Maintenance/Snapshot", rpc_pb2.SnapshotRequest(), rpc_pb2.SnapshotResponse):
                target.write(response.blob)
                digest.update(tail)
                tail = response.blob
            if tail != digest.digest():
                raise click.ClickException("the stream ended before the backup did: nothing was written")
            target.flush()
            os.fsync(target.fileno())
        part.replace(file)
    except OSError as error:
        raise click.ClickException(f"cannot write {file}: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)
    click.echo(f"Snapshot saved at {file}")


@command.command()
@click.argument("file", type=_FILE)
@click.option("-w", "--write-out", type=click.Choice(["simple", "json"]), default="simple", show_default=True)
def status(file: Path, write_out: str) -> None:
    """Check FILE whole and tell what is in it: hash, revision, keys, size."""
    import msgspec

    from minik8s.store import backup

    told = backup.summary(_read(file), file.stat().st_size)
    if write_out == "json":
        fields = {"hash": told.hash, "revision": told.revision, "totalKey": told.versions, "totalSize": told.size_bytes}
        click.echo(msgspec.json.encode(fields).decode())
    else:
        click.echo(f"{told.hash:x}, {told.revision}, {told.versions}, {told.size_bytes}")


@command.command()
@click.argument("file", type=_FILE)
@click.option("--name", default="default", show_default=True, help="The member whose data this becomes.")
@click.option("--data-dir", type=click.Path(path_type=Path, file_okay=False), help="Where.  [default: NAME.etcd]")
def restore(file: Path, name: str, data_dir: Path | None) -> None:
    """Make FILE the data of a member of a new cluster.

    Do it for each member, then start them all with the same --initial-cluster. Revisions go on where they were; the
    members of the old cluster are forgotten.
    """
    from minik8s.store import backup, restoration

    machine = _read(file)
    backup.for_new_cluster(machine)
    directory = data_dir or Path(f"{name}.etcd")
    try:
        restoration.write(machine, directory)
    except FileExistsError as error:
        raise click.ClickException(f"{directory} is not empty: give another --data-dir") from error
    except OSError as error:
        raise click.ClickException(f"cannot write {directory}: {error.strerror}") from error
    click.echo(f"Restored revision {machine.space.mvcc.revision} to {directory}")


def _read(file: Path):  # type: ignore[no-untyped-def]  # a Machine, which is not imported until it is needed
    from minik8s.store import backup

    try:
        with file.open("rb") as source:
            return backup.read(source)
    except backup.BackupUnreadable as error:
        raise click.ClickException(f"{file}: {error}") from error
    except OSError as error:
        raise click.ClickException(f"cannot read {file}: {error.strerror}") from error
