"""Reading container logs."""

import asyncio
from pathlib import Path

import pytest

from minik8s.node.kubelet.pod_logs import Selection, stream

LINES = [
    "2026-01-01T00:00:01.000000000Z stdout F one",
    "2026-01-01T00:00:02.500000000Z stderr F two",
    "2026-01-01T00:00:03.000000000Z stdout P th",
    "2026-01-01T00:00:03.000000000Z stdout F ree",
    "2026-01-01T00:00:04.000000000Z stdout F ",
]


def read(path: Path, **selection) -> bytes:
    async def main() -> bytes:
        async def is_running() -> bool:
            return False

        return b"".join([chunk async for chunk in stream(path, Selection(**selection), is_running)])

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ({}, b"one\ntwo\nthree\n\n"),
        ({"tail_lines": 0}, b""),
        ({"tail_lines": 1}, b"\n"),
        ({"tail_lines": 2}, b"three\n\n"),
        ({"tail_lines": 3}, b"two\nthree\n\n"),
        ({"tail_lines": 99}, b"one\ntwo\nthree\n\n"),
        ({"limit_bytes": 5}, b"one\nt"),
        ({"limit_bytes": 0}, b""),
        ({"since_s": 1767225602.5}, b"two\nthree\n\n"),
        ({"since_s": 1767225602.6}, b"three\n\n"),
        ({"timestamps": True, "tail_lines": 1}, b"2026-01-01T00:00:04.000000000Z \n"),
        ({"follow": True}, b"one\ntwo\nthree\n\n"),
    ],
)
def test_what_is_selected(tmp_path, selection, expected):
    path = tmp_path / "0.log"
    path.write_text("\n".join(LINES) + "\n")
    assert read(path, **selection) == expected


def test_the_tail_of_a_long_log_is_found_from_its_end(tmp_path):
    path = tmp_path / "0.log"
    path.write_text("".join(f"2026-01-01T00:00:01.000000000Z stdout F line {n}\n" for n in range(20_000)))
    for count in (1, 1500, 19_999):
        assert read(path, tail_lines=count).decode().split("\n")[:-1] == [
            f"line {n}" for n in range(20_000 - count, 20_000)
        ]


def test_a_followed_log_goes_on_after_its_file_was_rotated(tmp_path):
    path = tmp_path / "0.log"
    path.write_text("2026-01-01T00:00:01.000000000Z stdout F one\n")

    async def main() -> list[bytes]:
        seen: list[bytes] = []

        async def is_running() -> bool:
            return len(seen) < 2

        async for chunk in stream(path, Selection(follow=True), is_running):
            seen.append(chunk)
            if len(seen) == 1:
                path.rename(tmp_path / "0.log.old")
                path.write_text("2026-01-01T00:00:02.000000000Z stdout F two\n")
        return seen

    assert asyncio.run(asyncio.wait_for(main(), 5)) == [b"one\n", b"two\n"]
