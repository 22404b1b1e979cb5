"""Every sub-command can be imported and explains itself."""

import pytest
from click.testing import CliRunner

from minik8s.cli.main import COMMANDS, main


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_an_example(name: str) -> None:
    shown = CliRunner().invoke(main, [name, "--help"], prog_name="minik8s")
    assert shown.exit_code == 0, shown.output
    assert f"  minik8s {name} --" in shown.output or f"minik8s {name}\n" in shown.output, shown.output


def test_an_unknown_command_is_said() -> None:
    shown = CliRunner().invoke(main, ["nonsense"], prog_name="minik8s")
    assert shown.exit_code == 2
    assert "No such command 'nonsense'" in shown.output


@pytest.mark.parametrize("command", ["status", "down"])
def test_a_cluster_that_is_not_there_is_said(command: str, tmp_path: object) -> None:
    shown = CliRunner().invoke(main, [command, "--name", "ghost", "--data-dir", str(tmp_path)])
    assert shown.exit_code == 1
    assert f"there is no cluster ghost in {tmp_path} (there: none)" in shown.output
