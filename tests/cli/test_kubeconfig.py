"""Kubeconfig files: entries go in and out, everything else stays."""

import stat
import threading
from pathlib import Path

import pytest
import yaml

from minik8s.cli import kubeconfig
from minik8s.cli.kubeconfig import KubeconfigError
from minik8s.kit.tls import Authority


@pytest.fixture
def added(tmp_path: Path) -> dict:
    identity = Authority(tmp_path / "pki").issue("admin", user="kubernetes-admin", groups=["system:masters"])
    return kubeconfig.entries("minik8s-a", "https://127.0.0.1:1", identity)


def other(name: str) -> dict:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "preferences": {"colors": True},
        "clusters": [{"name": name, "cluster": {"server": "https://example:6443"}}],
        "users": [{"name": name, "user": {"token": "secret"}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": "x"}}],
        "current-context": name,
    }


def test_a_new_file_is_private_and_holds_only_our_context(tmp_path: Path, added: dict) -> None:
    path = tmp_path / "new/config"
    kubeconfig.add(path, added)
    assert yaml.safe_load(path.read_text()) == added
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_other_contexts_stay_as_they_are(tmp_path: Path, added: dict) -> None:
    path = tmp_path / "config"
    path.write_text(yaml.dump(other("prod")))
    kubeconfig.add(path, added)
    document = yaml.safe_load(path.read_text())
    assert [entry["name"] for entry in document["contexts"]] == ["prod", "minik8s-a"]
    assert document["current-context"] == "minik8s-a"
    kubeconfig.remove(path, "minik8s-a")
    assert yaml.safe_load(path.read_text()) == other("prod") | {"current-context": ""}


def test_adding_twice_replaces(added: dict) -> None:
    moved = kubeconfig.merged(added, added | {"current-context": "minik8s-a"})
    assert [len(moved[section]) for section in ("clusters", "users", "contexts")] == [1, 1, 1]


def test_sections_that_are_null_are_taken_as_empty(added: dict) -> None:
    assert kubeconfig.merged({"clusters": None, "users": None, "contexts": None}, added)["users"] == added["users"]
    assert kubeconfig.without({"clusters": None}, "x")["clusters"] == []


def test_removing_another_current_context_keeps_it() -> None:
    assert kubeconfig.without(other("prod"), "minik8s-a")["current-context"] == "prod"


def test_a_file_that_then_holds_nothing_goes(tmp_path: Path, added: dict) -> None:
    path = tmp_path / "config"
    kubeconfig.add(path, added)
    kubeconfig.remove(path, "minik8s-a")
    assert not path.exists()
    kubeconfig.remove(path, "minik8s-a")


@pytest.mark.parametrize("text", ["a: [", "- list\n", "just words"], ids=["broken", "list", "string"])
def test_what_is_no_kubeconfig_is_refused_and_left_alone(tmp_path: Path, added: dict, text: str) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(KubeconfigError, match="left as it is"):
        kubeconfig.add(path, added)
    assert path.read_text() == text
    assert not path.with_name("config.lock").exists()


def test_a_symbolic_link_stays_one(tmp_path: Path, added: dict) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    kubeconfig.add(tmp_path / "link", added)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").exists()


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path, added: dict) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KubeconfigError, match="give --kubeconfig FILE"):
        kubeconfig.add(tmp_path / "file/config", added)


@pytest.mark.parametrize(
    ("listed", "existing", "chosen"),
    [("a:b", ["b"], "b"), ("a:b", [], "b"), (":a", ["a"], "a"), ("a:b", ["a", "b"], "a")],
)
def test_the_users_file_is_chosen_as_kubectl_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listed: str, existing: list[str], chosen: str
) -> None:
    monkeypatch.setenv("KUBECONFIG", ":".join(str(tmp_path / part) if part else "" for part in listed.split(":")))
    for name in existing:
        (tmp_path / name).write_text("")
    assert kubeconfig.user_file() == tmp_path / chosen


def test_two_writers_at_once_lose_nothing(tmp_path: Path, added: dict) -> None:
    path = tmp_path / "config"
    names = [f"c{i}" for i in range(8)]

    def write(name: str) -> None:
        kubeconfig.add(path, other(name))

    threads = [threading.Thread(target=write, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(entry["name"] for entry in yaml.safe_load(path.read_text())["contexts"]) == names
