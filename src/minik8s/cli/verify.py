"""`minik8s verify`: hold a recorded history of a store against etcd's promises."""

import json
from pathlib import Path

import click


@click.command(
    epilog="""\b
Example, a history made by killing leaders:
  scripts/chaos store --seconds 60 --history /tmp/history.jsonl
  minik8s verify --json /tmp/history.jsonl"""
)
@click.argument("history", type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True))
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(history: Path, as_json: bool) -> None:
    """Check a HISTORY (a file of JSON lines, - for standard input) of calls and watches recorded by clients of a store.

    Checks linearizability with revisions, what watches promise, reads of the past, and that members hash alike. The
    exit code is 0 if nothing is wrong, 1 if something is, 2 if the file is not a history.
    """
    from minik8s.store.verify.history import BadHistory, read
    from minik8s.store.verify.report import verify

    try:
        with click.open_file(str(history), "rb") as lines:
            report = verify(read(lines))
    except BadHistory as error:
        raise click.UsageError(f"{history} is not a history: {error}") from error
    if as_json:
        click.echo(
            json.dumps(
                {
                    "calls": report.calls,
                    "acked": report.acked,
                    "unknown": report.unknown,
                    "episodes": report.episodes,
                    "watches": report.watches,
                    "events": report.events,
                    "lost": report.lost,
                    "violations": len(report.violations),
                    "linearizable": report.is_linearizable,
                }
            )
        )
    else:
        click.echo(
            f"{report.calls} calls ({report.acked} acknowledged writes, {report.unknown} of unknown outcome) "
            f"in {report.episodes} episodes, {report.watches} watches with {report.events} events"
        )
        verdict = {True: "yes", False: "NO", None: "undecided"}[report.is_linearizable]
        click.echo(f"linearizable: {verdict}; lost writes: {report.lost}; violations: {len(report.violations)}")
    for violation in report.violations[:20]:
        click.echo(f"  {violation}", err=as_json)
    raise SystemExit(0 if report.is_good else 1)
