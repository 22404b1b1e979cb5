"""The runtime server over its unix socket, with real programs: life cycle, logs, restarts, no orphans."""

import asyncio
import contextlib
import signal
from pathlib import Path

import pytest

from minik8s.node.kubelet.cri import CriError
from minik8s.wire.cri import api_pb2 as cri
from tests.node.runtime.process import RuntimeProcess, container_config, is_alive, running_runtime, until

pytestmark = pytest.mark.slow


def run(home: Path, scenario) -> None:
    async def main() -> None:
        async with asyncio.timeout(60), running_runtime(home) as runtime:
            sandbox = runtime.sandbox_config("web")
            sandbox_id = await runtime.client.run_sandbox(sandbox)
            await scenario(runtime, sandbox, sandbox_id)

    asyncio.run(main())


def log_lines(home: Path, name: str = "m", attempt: int = 0) -> list[str]:
    return (home / "logs/web" / name / f"{attempt}.log").read_text().splitlines()


def read_pid(path: Path) -> int:
    return int(path.read_text())


def written(path: Path):
    async def is_written() -> bool:
        return path.exists() and path.read_text().endswith("\n")

    return is_written


def test_a_program_has_its_own_environment_directory_address_and_log(tmp_path):
    async def scenario(runtime: RuntimeProcess, sandbox, sandbox_id):
        script = "cat /proc/$$/environ | tr '\\0' '\\n'; pwd; ls /proc/self/fd; echo oops >&2; printf unfinished"
        container = await runtime.launch(
            sandbox_id, sandbox, "m", "sh", "-c", script, env={"A.b": "x y", "PATH": "/bin"}
        )
        view = await runtime.ended("uid-web", container)
        assert (view.exit_code, view.reason) == (0, "Completed")
        lines = log_lines(tmp_path)
        text = [line.split(" ", 3)[3] for line in lines]
        root = str(tmp_path / "root/containers" / container / "rootfs")
        names = {entry.split("=")[0] for entry in text if "=" in entry}
        assert {"A.b=x y", "PATH=/bin", f"CONTAINER_ROOT={root}", "HOSTNAME=web", root} <= set(text)
        own = {"PATH", "HOME", "TMPDIR", "CONTAINER_ROOT", "HOSTNAME", "MINIK8S_CONTAINER_ID"}
        assert names == own | {"A.b"}
        assert [entry for entry in text if entry.isdigit()] == ["0", "1", "2", "3"]
        assert any(line.endswith(" stderr F oops") for line in lines)
        assert lines[-1].endswith(" stdout P unfinished")
        assert (await runtime.client.pod("uid-web")).sandboxes[0].ip == "127.77.1.2"

    run(tmp_path, scenario)


@pytest.mark.parametrize(
    ("script", "code", "reason"),
    [("exit 7", 7, "Error"), ("kill -9 $$", 137, "Error"), ("kill -TERM $$", 143, "Error"), ("true", 0, "Completed")],
)
def test_exit_codes_and_signals_are_told_apart(tmp_path, script, code, reason):
    async def scenario(runtime: RuntimeProcess, sandbox, sandbox_id):
        view = await runtime.ended("uid-web", await runtime.launch(sandbox_id, sandbox, "m", "sh", "-c", script))
        assert (view.exit_code, view.reason) == (code, reason)
        assert log_lines(tmp_path) == []

    run(tmp_path, scenario)


def test_a_command_that_does_not_exist_ends_the_container_with_start_error(tmp_path):
    async def scenario(runtime: RuntimeProcess, sandbox, sandbox_id):
        with pytest.raises(CriError, match=r'exec: "nonesuch": executable file not found in \$PATH'):
            await runtime.launch(sandbox_id, sandbox, "m", "nonesuch")
        (view,) = (await runtime.client.pod("uid-web")).containers
        assert (view.state, view.exit_code, view.reason) == ("exited", 128, "StartError")

    run(tmp_path, scenario)


def test_an_image_without_a_command_is_refused_and_told_which_engines_run_images(tmp_path):
    async def scenario(runtime: RuntimeProcess, sandbox, sandbox_id):
        with pytest.raises(CriError, match=r"cannot run the image .*containerd.*oci") as caught:
            await runtime.launch(sandbox_id, sandbox, "m", args=["-v"])
        assert caught.value.code == "INVALID_ARGUMENT"
        assert (await runtime.client.pod("uid-web")).containers == ()

    run(tmp_path, scenario)


def test_stop_asks_first_and_kills_the_whole_group_and_deserters_later(tmp_path):
    async def scenario(runtime: RuntimeProcess, sandbox, sandbox_id):
        script = (
            "trap '' TERM; sh -c 'trap \"\" TERM; echo $$ >child; sleep 1000' & "
            "setsid sh -c 'trap \"\" TERM; echo $$ >deserter; sleep 1000' & wait; sleep 1000"
        )
        container = await runtime.launch(sandbox_id, sandbox, "m", "sh", "-c", script)
        root = tmp_path / "root/containers" / container / "rootfs"
        for name in ("child", "deserter"):
            await until(written(root / name))
        pids = [read_pid(root / name) for name in ("child", "deserter")]
        await runtime.client.stop_container(container, 1)
        view = await runtime.ended("uid-web", container)
        assert view.exit_code == 137
        assert not any(map(is_alive, pids))

    run(tmp_path, scenario)


def test_a_polite_program_stops_at_once_with_its_own_exit_code(tmp_path):
    async def scenario(runtime: RuntimeProcess, sandbox, sandbox_id):
        script = "trap 'exit 3' TERM; echo ready >up; while :; do sleep 0.05; done"
        container = await runtime.launch(sandbox_id, sandbox, "m", "sh", "-c", script)
        await until(written(tmp_path / "root/containers" / container / "rootfs/up"))
        await asyncio.wait_for(runtime.client.stop_container(container, 30), 10)
        assert (await runtime.ended("uid-web", container)).exit_code == 3
        await runtime.client.stop_container(container, 30)  # again: harmless
        await runtime.client.remove_container(container)
        await runtime.client.remove_container(container)
        assert not (tmp_path / "root/containers" / container).exists()

    run(tmp_path, scenario)


def test_containers_survive_a_killed_runtime_and_lose_neither_output_nor_exit_code(tmp_path):
    async def scenario(runtime: RuntimeProcess, sandbox, sandbox_id):
        script = "echo before; while [ ! -e go ]; do sleep 0.02; done; echo during; exit 5"
        short = await runtime.launch(sandbox_id, sandbox, "m", "sh", "-c", script)
        long = await runtime.launch(sandbox_id, sandbox, "l", "sh", "-c", "echo $$ >pid; exec sleep 1000")
        containers = tmp_path / "root/containers"
        await until(written(containers / long / "rootfs/pid"))
        pid = read_pid(containers / long / "rootfs/pid")
        await runtime.kill()
        (containers / short / "rootfs/go").touch()
        await until(written(containers / short / "exit"))  # it ended while nobody watched
        assert is_alive(pid)
        await runtime.start()
        view = await runtime.ended("uid-web", short)
        assert view.exit_code == 5
        assert [line.split(" ", 3)[3] for line in log_lines(tmp_path)] == ["before", "during"]
        assert (await runtime.status("uid-web", long)).state == "running"
        assert read_pid(containers / long / "rootfs/pid") == pid
        await runtime.client.stop_container(long, 0)
        assert (await runtime.ended("uid-web", long)).exit_code == 137
        assert not is_alive(pid)

    run(tmp_path, scenario)


def test_a_runtime_told_to_end_leaves_no_process_behind(tmp_path):
    async def scenario(runtime: RuntimeProcess, sandbox, sandbox_id):
        container = await runtime.launch(sandbox_id, sandbox, "m", "sh", "-c", "echo $$ >pid; exec sleep 1000")
        home = tmp_path / "root/containers" / container
        await until(written(home / "rootfs/pid"))
        pids = [read_pid(home / "rootfs/pid"), int((home / "shim").read_text().split()[0])]
        assert await runtime.kill(signal.SIGTERM) == 0

        async def all_gone() -> bool:
            return not any(map(is_alive, pids))

        await until(all_gone)
        await runtime.start()
        assert (await runtime.status("uid-web", container)).exit_code == 143

    run(tmp_path, scenario)


def test_each_pod_gets_an_address_of_its_own_and_a_removed_one_comes_back_last(tmp_path):
    async def scenario(runtime: RuntimeProcess, sandbox, sandbox_id):
        addresses = []
        for name in ("a", "b"):
            other = runtime.sandbox_config(name)
            await runtime.client.run_sandbox(other)
            addresses.append((await runtime.client.pod(f"uid-{name}")).sandboxes[0].ip)
        assert addresses == ["127.77.1.3", "127.77.1.4"]
        await runtime.client.remove_sandbox((await runtime.client.pod("uid-a")).sandboxes[0].id)
        await runtime.kill()
        await runtime.start()
        await runtime.client.run_sandbox(runtime.sandbox_config("c"))
        assert (await runtime.client.pod("uid-c")).sandboxes[0].ip == "127.77.1.5"
        node = runtime.sandbox_config("host")
        node.linux.security_context.namespace_options.network = cri.NamespaceMode.NODE
        await runtime.client.run_sandbox(node)
        assert (await runtime.client.pod("uid-host")).sandboxes[0].ip == ""

    run(tmp_path, scenario)


def test_volumes_are_links_below_the_containers_directory(tmp_path):
    async def scenario(runtime: RuntimeProcess, sandbox, sandbox_id):
        (tmp_path / "volume/sub").mkdir(parents=True)
        (tmp_path / "volume/key").write_text("value")
        mounts = [
            cri.Mount(container_path="/etc/config", host_path=str(tmp_path / "volume")),
            cri.Mount(container_path="/work", host_path=str(tmp_path / "volume/sub")),
        ]
        script = "cat ../key; cat $CONTAINER_ROOT/etc/config/key; cd $CONTAINER_ROOT; cat etc/config/key"
        container = await runtime.launch(
            sandbox_id, sandbox, "m", "sh", "-c", script, mounts=mounts, working_dir="/work"
        )
        assert (await runtime.ended("uid-web", container)).exit_code == 0
        assert log_lines(tmp_path)[0].endswith("valuevaluevalue")

    run(tmp_path, scenario)


def test_exec_runs_beside_the_program_and_is_cut_off_in_time(tmp_path):
    async def scenario(runtime: RuntimeProcess, sandbox, sandbox_id):
        container = await runtime.launch(sandbox_id, sandbox, "m", "sleep", "1000", env={"A": "b"})
        assert await runtime.client.exec_sync(container, ["sh", "-c", "echo $A; exit 3"], 5) == (3, b"b\n")
        with pytest.raises(CriError) as caught:
            await runtime.client.exec_sync(container, ["sleep", "100"], 1)
        assert caught.value.code == "DEADLINE_EXCEEDED"
        with pytest.raises(CriError, match="not found in"):
            await runtime.client.exec_sync(container, ["nonesuch"], 1)

    run(tmp_path, scenario)


def test_changes_are_streamed(tmp_path):
    async def scenario(runtime: RuntimeProcess, sandbox, sandbox_id):
        async with contextlib.aclosing(runtime.client.changes()) as changes:
            assert await anext(changes) == ""
            await runtime.launch(sandbox_id, sandbox, "m", "true")
            assert [await anext(changes) for _ in range(3)] == ["uid-web"] * 3  # created, started, stopped

    run(tmp_path, scenario)


def test_the_log_goes_on_in_a_new_file_after_the_old_one_was_moved(tmp_path):
    async def scenario(runtime: RuntimeProcess, sandbox, sandbox_id):
        script = "echo one; while [ ! -e go ]; do sleep 0.02; done; echo two"
        container = await runtime.launch(sandbox_id, sandbox, "m", "sh", "-c", script)
        path = tmp_path / "logs/web/m/0.log"
        await until(written(path))
        path.rename(path.with_suffix(".old"))
        await runtime.client._call("ReopenContainerLog", cri.ReopenContainerLogRequest(container_id=container))
        (tmp_path / "root/containers" / container / "rootfs/go").touch()
        await runtime.ended("uid-web", container)
        assert path.with_suffix(".old").read_text().endswith("stdout F one\n")
        assert path.read_text().endswith("stdout F two\n")
        assert path.read_text().count("\n") == 1

    run(tmp_path, scenario)


@pytest.mark.parametrize(("call", "code"), [("Exec", "UNIMPLEMENTED"), ("ContainerStats", "UNIMPLEMENTED")])
def test_what_is_missing_says_so(tmp_path, call, code):
    async def scenario(runtime: RuntimeProcess, sandbox, sandbox_id):
        with pytest.raises(CriError) as caught:
            await runtime.client._call(call, getattr(cri, f"{call}Request")(container_id="x"))
        assert caught.value.code == code

    run(tmp_path, scenario)


def test_two_runtimes_cannot_share_a_root(tmp_path):
    async def scenario(runtime: RuntimeProcess, sandbox, sandbox_id):
        second = RuntimeProcess(tmp_path)
        await second.spawn()
        assert await asyncio.wait_for(second.process.wait(), 10) == 1
        assert "another runtime is using --root" in (tmp_path / "runtime.log").read_text()

    run(tmp_path, scenario)


def test_a_container_of_the_same_name_and_attempt_is_refused(tmp_path):
    async def scenario(runtime: RuntimeProcess, sandbox, sandbox_id):
        await runtime.launch(sandbox_id, sandbox, "m", "sleep", "1000")
        with pytest.raises(CriError, match="exists already"):
            await runtime.client.create_container(sandbox_id, container_config(sandbox, "m", "true"), sandbox)

    run(tmp_path, scenario)


def test_a_disk_that_cannot_be_written_costs_no_container(tmp_path):
    async def scenario(runtime: RuntimeProcess, sandbox, sandbox_id):
        ending = await runtime.launch(sandbox_id, sandbox, "m", "sh", "-c", "while [ ! -e go ]; do sleep 0.02; done")
        staying = await runtime.launch(sandbox_id, sandbox, "s", "sleep", "1000")
        home = tmp_path / "root/containers" / ending
        # A directory where the record is written before it is moved: refused to root as well.
        (home / ".container.json").mkdir()
        (home / "rootfs/go").touch()
        assert (await runtime.ended("uid-web", ending)).exit_code == 0
        assert (await runtime.status("uid-web", staying)).state == "running"
        await runtime.kill()
        (home / ".container.json").rmdir()
        await runtime.start()
        assert (await runtime.status("uid-web", ending)).exit_code == 0

    run(tmp_path, scenario)


def test_commands_run_at_once_all_come_to_their_own_end(tmp_path):
    async def scenario(runtime: RuntimeProcess, sandbox, sandbox_id):
        container = await runtime.launch(sandbox_id, sandbox, "m", "sleep", "1000", env={"A": "b"})
        # When the event loop started them, one in twelve crashed before its program was loaded.
        for _ in range(25):
            command = ["sh", "-c", "echo $A; exit 3"]
            ends = await asyncio.gather(*(runtime.client.exec_sync(container, command, 10) for _ in range(4)))
            assert ends == [(3, b"b\n")] * 4

    run(tmp_path, scenario)
