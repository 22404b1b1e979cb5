"""docs/grpc.md: the examples print what the page says, against an API server over the in-process store."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from client.test_transport_grpc import faces

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


EXAMPLES = {
    "grpc_client.py": (lambda admin: [admin.ca_file, admin.cert_file, admin.key_file], r"admin\.key\n(created.*?)```"),
    "grpc_reflection.py": (lambda admin: [admin.ca_file, "open-sesame"], r"TOKEN\n(service.*?)```"),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_prints_what_the_page_says(tmp_path, name):
    arguments, shown = EXAMPLES[name]

    async def main() -> str:
        async with faces(tmp_path, count=1, with_tokens="reflection" in name) as (_, servers, _, admin):
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                str(ROOT / "docs/examples" / name),
                servers[0],
                *map(str, arguments(admin)),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            async with asyncio.timeout(20):
                out, err = await process.communicate()
            assert process.returncode == 0, err.decode()
            return out.decode()

    found = re.search(shown, (ROOT / "docs/grpc.md").read_text(), re.DOTALL)
    assert found
    assert asyncio.run(main()) == found[1]
