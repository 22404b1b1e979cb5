"""Classes of upstream's vulnerabilities: small requests that cost much."""

import time

import pytest

from .server import Server

pytestmark = pytest.mark.slow

JSON_PATCH = "application/json-patch+json"


class TestBombs:
    """CVE-2019-11253, CVE-2019-1002100, CVE-2020-8552: small requests, large costs."""

    def timed(self, server: Server, *args: object, **headers: str) -> int:
        began = time.monotonic()
        answer = server.call(*args, **headers)  # type: ignore[arg-type]
        assert time.monotonic() - began < 5
        assert server.call("GET", "/readyz").status == 200
        return answer.status

    def test_yaml_that_multiplies_is_refused(self, server: Server):
        lines = ["a: &a [" + ",".join(["x"] * 9) + "]"]
        for before, name in zip("abcdefgh", "bcdefghi", strict=True):
            lines.append(f"{name}: &{name} [" + ",".join([f"*{before}"] * 9) + "]")
        body = "\n".join([*lines, "kind: ConfigMap", "apiVersion: v1", "metadata: {name: bomb}", "data: *i"]).encode()
        path = "/api/v1/namespaces/default/configmaps"
        assert self.timed(server, "POST", path, body, Content_Type="application/yaml") in (400, 413, 422)

    @pytest.mark.parametrize("opening", [b"[", b'{"a":', b"- ", b"&a [*a,"], ids=repr)
    def test_depth_without_end_is_refused(self, server: Server, opening: bytes):
        path = "/api/v1/namespaces/default/configmaps"
        for content_type in ("application/json", "application/yaml", "application/apply-patch+yaml"):
            method, name = ("PATCH", "/x?fieldManager=a") if "apply" in content_type else ("POST", "")
            assert self.timed(server, method, path + name, opening * 100_000, Content_Type=content_type) in (400, 413)

    def test_patches_that_multiply_are_refused(self, server: Server):
        path = "/api/v1/namespaces/default/configmaps"
        server.make(path, {"metadata": {"name": "patched"}, "data": {"a": "x" * 1000}})
        many = [{"op": "add", "path": "/data/b", "value": "c"}] * 10_001
        assert self.timed(server, "PATCH", f"{path}/patched", many, Content_Type=JSON_PATCH) == 413
        doubling = [{"op": "copy", "from": "/metadata", "path": f"/metadata/x{index}"} for index in range(60)]
        status = self.timed(server, "PATCH", f"{path}/patched", doubling, Content_Type=JSON_PATCH)
        assert status in (400, 413, 422)

    def test_what_is_too_large_is_refused(self, server: Server):
        path = "/api/v1/namespaces/default/configmaps"
        assert self.timed(server, "POST", path, b'{"data":"' + b"x" * 4_000_000 + b'"}') == 413
