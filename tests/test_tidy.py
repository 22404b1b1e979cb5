"""Conventions that are checked rather than remembered. Each failure says what to do instead."""

import ast
import functools
import gc
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src/minik8s"

# Package → packages of ours it may import (docs: architecture). `cli` alone may import everything.
ALLOWED = {
    "wire": set(),
    "kit": set(),
    "api": {"kit"},
    "client": {"api", "kit", "wire"},
    "store": {"kit", "wire"},
    "control": {"client", "api", "kit", "wire"},
    "node": {"client", "api", "kit", "wire"},
    "cli": {"store", "control", "node", "client", "api", "kit", "wire"},
}
# Siblings that meet only at the API or at CRI, never by import.
STRANGERS = {
    "control": {"apiserver", "scheduler", "controllers", "cloud"},
    "node": {"kubelet", "runtime", "cni", "proxy", "dns", "ingress"},
}
GRPC_ADAPTERS = {
    "control/apiserver/storage.py",
    "control/apiserver/grpc.py",
    "client/transport_grpc.py",
    "node/kubelet/cri.py",
    "node/kubelet/probes.py",
    "node/runtime/server.py",
}


@functools.cache
def modules() -> list[tuple[str, ast.Module]]:
    """(path below the package, syntax tree) of every module that people write."""
    gc.collect()  # What earlier tests left must not be finalized within the parser: CPython 3.11 then miscounts.
    places = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}
    return [
        (place, ast.parse(path.read_text(), str(path)))
        for place, path in places.items()
        if not place.startswith("wire/")
    ]


def imports(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """(dotted name, line) of every import, those inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            yield node.module or "", node.lineno


def layer_faults(place: str, tree: ast.Module) -> list[str]:
    """Imports in the module at `place` that break the layers."""
    own, _, rest = place.partition("/")
    own, part = own.removesuffix(".py"), rest.split("/")[0].removesuffix(".py")
    faults = []
    for name, line in imports(tree):
        parts = name.split(".")
        if parts[0] != "minik8s" or len(parts) < 2:
            continue
        if parts[1] != own and parts[1] not in ALLOWED.get(own, set()):
            faults.append(f"{place}:{line}: {own} must not import {parts[1]}; it may import {sorted(ALLOWED[own])}")
        strangers = STRANGERS.get(own, set())
        if parts[1] == own and len(parts) > 2 and part in strangers and parts[2] in strangers - {part}:
            faults.append(f"{place}:{line}: {part} and {parts[2]} meet at the API, not by import")
    return faults


def test_the_layers_hold():
    assert [fault for place, tree in modules() for fault in layer_faults(place, tree)] == []


def test_the_layer_rule_sees_a_fault():
    assert "store must not import api" in layer_faults("store/x.py", ast.parse("from minik8s.api import errors"))[0]
    assert layer_faults("node/proxy/x.py", ast.parse("import minik8s.node.kubelet.cri"))
    assert not layer_faults("node/proxy/x.py", ast.parse("import minik8s.client.informer"))


def test_only_the_adapters_import_grpc():
    seen = {
        place
        for place, tree in modules()
        for name, _ in imports(tree)
        if name.split(".")[0].startswith("grpc") and not place.startswith("cli/")
    }
    assert seen - GRPC_ADAPTERS == set(), "gRPC is confined to the adapter files (architecture, invariant 1)"


def test_only_raft_imports_pysyncobj():
    seen = {place for place, tree in modules() for name, _ in imports(tree) if name.split(".")[0] == "pysyncobj"}
    assert all(place.startswith("store/raft/") for place in seen), seen


def test_time_and_chance_come_in_through_the_constructor():
    banned = {"time", "uuid"}
    faults = [
        f"{place}:{line}: take a kit.clock.Clock or a random.Random instead of importing {name}"
        for place, tree in modules()
        for name, line in imports(tree)
        if name in banned and not place.startswith(("kit/", "cli/"))
    ]
    for place, tree in modules():
        if place.startswith(("kit/", "cli/")):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                dotted = f"{node.value.id}.{node.attr}"
                # The class random.Random names a type; the module's functions share hidden state.
                if node.value.id == "random" and node.attr != "Random":
                    faults.append(f"{place}:{node.lineno}: {dotted}: take a random.Random")
                if dotted == "os.environ":
                    faults.append(f"{place}:{node.lineno}: the environment is read in cli/ only")
    assert faults == []


def test_nothing_dangerous_is_called():
    banned = re.compile(r"\b(pickle\.loads?|yaml\.(load|unsafe_load)|shell=True|eval\(|exec\(|os\.system)\b")
    faults = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if "wire" not in path.parts
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if banned.search(line) and not line.lstrip().startswith(("#", '"'))
    ]
    assert faults == []


def test_there_are_four_shared_packages_and_no_fifth():
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert packages == {"wire", "kit", "api", "client", "store", "control", "node", "cli"}
    assert not [path for path in PACKAGE.rglob("*.py") if path.stem in {"utils", "common", "helpers", "misc", "base"}]


def test_every_module_says_what_it_is():
    assert [place for place, tree in modules() if not ast.get_docstring(tree)] == []
