"""What the README promises: its tour, typed as it stands there; the demonstration; links that lead somewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .harness import ROOT, find_kubectl, strays


def tour() -> list[str]:
    """The commands of README's section «Sixty seconds», comments cut off."""
    section = (ROOT / "README.md").read_text().split("## Sixty seconds", 1)[1]
    block = re.search(r"```\n(.*?)```", section, re.S)
    assert block is not None
    return [line.split("  #")[0].strip() for line in block[1].splitlines()]


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))])
def test_links_lead_to_files_of_the_repository(page: str) -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", (ROOT / page).read_text())
    assert [target for target in targets if not ((ROOT / page).parent / target).exists()] == []


@pytest.mark.slow
@pytest.mark.usefixtures("kubectl_or_skip")
def test_the_demonstration_holds_with_three_dead_leaders() -> None:
    line = [sys.executable, str(ROOT / "scripts/demo.d/demo.py"), "--kills", "3"]
    done = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=170)
    assert done.returncode == 0, done.stdout
    assert done.stdout.rstrip().endswith("Every proof held.")


@pytest.mark.slow
@pytest.mark.usefixtures("kubectl_or_skip")
def test_the_tour_of_the_readme_works(directory: Path) -> None:
    commands = directory / "bin"
    commands.mkdir()
    kubectl = find_kubectl()
    assert kubectl is not None
    (commands / "kubectl").symlink_to(kubectl)
    path = f"{commands}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    # The scripts would make an environment of their own; this one is set up already.
    environment = {"HOME": str(directory), "PATH": path, "MINIK8S_VENV": sys.prefix}
    printed = ""
    try:
        for line in tour():
            # Following a log never ends by itself.
            command = ["timeout", "5", "bash", "-c", line] if " -f deployment" in line else ["bash", "-c", line]
            if line.startswith("curl"):
                ready = "kubectl rollout status deployment/web --timeout=60s"
                subprocess.run(["bash", "-c", ready], env=environment, cwd=ROOT, timeout=90, check=True)
                command = [
                    "bash",
                    "-c",
                    line.replace("curl ", "curl --retry 10 --retry-connrefused --retry-delay 1 -s "),
                ]
            if line.startswith("scripts/") and not (Path(sys.prefix) / ".minik8s-stamp").exists():
                command = [sys.executable, str(ROOT / "scripts/demo.d/kill_leader.py")]
            done = subprocess.run(
                command,
                env=environment,
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=120,
            )
            printed += f"$ {line}\n{done.stdout}"
            assert done.returncode in (0, 124), printed
    finally:
        down = ["bash", "-c", "minik8s down --delete"]
        subprocess.run(down, env=environment, timeout=120, capture_output=True)
    for expected in (
        "ready in",
        "deployment.apps/web created",
        "serving v1",
        "web-",
        "writes went on after",
        "stopped",
    ):
        assert expected in printed, printed
    assert not strays(directory)
