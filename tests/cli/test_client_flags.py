"""What the scheduler's and the controllers' commands say to bad flags."""

import pytest
from click.testing import CliRunner

from minik8s.cli import controllers, scheduler
from minik8s.cli.client_flags import DURATION

SERVER = ("--server", "127.0.0.1:6444")


@pytest.mark.parametrize(("text", "seconds"), [("15s", 15), ("500ms", 0.5), ("1m30s", 90), ("1.5h", 5400), (2, 2)])
def test_durations_are_written_as_go_writes_them(text, seconds):
    assert DURATION.convert(text, None, None) == seconds


@pytest.mark.parametrize(
    ("command", "arguments", "word"),
    [
        (scheduler.command, (), "--server"),
        (scheduler.command, ("--server", "localhost"), "'localhost' is not HOST:PORT"),
        (scheduler.command, ("--server", ","), "no address"),
        (scheduler.command, (*SERVER, "--certificate-authority", "/nowhere/ca.crt"), "--client-certificate is missing"),
        (
            scheduler.command,
            (*SERVER, "--certificate-authority", "/no/ca", "--client-certificate", "/no/c", "--client-key", "/no/k"),
            "cannot read /no/ca: No such file or directory",
        ),
        (scheduler.command, (*SERVER, "--leader-elect-lease-duration", "5"), "'5' is not a duration"),
        (scheduler.command, (*SERVER, "--leader-elect-lease-duration", "5s"), "leaseDuration must be greater"),
        (controllers.command, (*SERVER, "--cluster-cidr", "10.0.0.0"), "cannot be cut"),
        (controllers.command, (*SERVER, "--cluster-cidr", "pods"), "does not appear to be an IPv4 or IPv6 network"),
    ],
)
def test_a_bad_flag_is_named_and_nothing_starts(command, arguments, word):
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 2
    assert word in " ".join(result.output.split())


@pytest.mark.parametrize("command", [scheduler.command, controllers.command])
def test_help_has_an_example(command):
    result = CliRunner().invoke(command, ["--help"])
    assert result.exit_code == 0 and "Example:" in result.output
