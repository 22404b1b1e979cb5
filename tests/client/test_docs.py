"""docs/grpc.md: the example prints what the page says, against an API server over the in-process store."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from client.test_transport_grpc import faces

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


def test_the_example_prints_what_the_page_says(tmp_path):
    async def main() -> str:
        async with faces(tmp_path, count=1) as (_, servers, _, admin):
            files = [str(file) for file in (admin.ca_file, admin.cert_file, admin.key_file)]
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(ROOT / "docs/examples/grpc_client.py"),
                servers[0],
                *files,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            async with asyncio.timeout(20):
                out, err = await process.communicate()
            assert process.returncode == 0, err.decode()
            return out.decode()

    page = (ROOT / "docs/grpc.md").read_text()
    shown = re.search(r"admin\.key\n(.*?)```", page, re.DOTALL)
    assert asyncio.run(main()) == shown[1]
