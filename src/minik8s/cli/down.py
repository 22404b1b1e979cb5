"""`minik8s down`: stop a cluster; its data is kept unless asked otherwise."""

from pathlib import Path

import click

from minik8s.cli.cluster import ClusterError, default_data_directory, load, names
from minik8s.cli.kubeconfig import KubeconfigError
from minik8s.cli.progress import Progress
from minik8s.cli.teardown import Teardown


@click.command()
@click.option("--name", default="default", show_default=True, help="The cluster.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where clusters live.")
@click.option("--delete", is_flag=True, help="Delete its data too.")
def command(name: str, data_dir: Path | None, delete: bool) -> None:
    """Stop a cluster. `minik8s up` starts it again with its data.

    \b
    minik8s down
    minik8s down --name b --delete
    """
    progress = Progress()
    try:
        data_dir = (data_dir or default_data_directory()).absolute()
        cluster = load(data_dir / name)
        if cluster is None:
            known = ", ".join(names(data_dir)) or "none"
            raise ClusterError(f"there is no cluster {name} in {data_dir} (there: {known})")
        killed = Teardown(cluster, data_dir / name).run(delete=delete)
    except (ClusterError, KubeconfigError) as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}" if error.filename else str(error)) from error
    if killed:
        progress.say(f"killed {len(killed)} processes that did not end when asked")
    fate = "deleted" if delete else f"stopped, its data is kept in {data_dir / name}"
    progress.say(f"cluster {name} {fate} ({progress.total_s:.2f} s)")
