"""The `minik8s` command. A sub-command's module is imported when it is called: `--help` must not load gRPC."""

import importlib

import click

COMMANDS = {
    # Name: what the list of commands says of it. The command is `command` in minik8s.cli.<name>.
    "up": "Start a cluster, or start it again with its data.",
    "down": "Stop a cluster.",
    "status": "Show every component of a cluster, its store's leader and revisions.",
    "store": "Run one replica of the store (etcd's role).",
    "apiserver": "Run an API server.",
    "scheduler": "Run a scheduler.",
    "controllers": "Run the controllers.",
    "kubelet": "Run a node's kubelet.",
    "runtime": "Run a container runtime (CRI).",
    "proxy": "Run the service proxy.",
    "verify": "Check a recorded history of a store against etcd's promises.",
    "loadbalancer": "Run the health-checked address in front of several API servers.",
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        return importlib.import_module(f"minik8s.cli.{name}").command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="minik8s")
def main() -> None:
    """A real, highly available Kubernetes that you can read in a weekend and break on purpose.

    \b
    minik8s up                  a cluster in seconds, and a kubectl context for it
    kubectl get nodes
    minik8s down
    """
