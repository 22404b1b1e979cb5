"""HTTP answers of the REST face: documents, failures, the lines of watches. Indented for people, compressed if large.

Called by `http`.
"""

import asyncio
import gzip

import msgspec
from aiohttp import web

from minik8s.api.errors import StatusError
from minik8s.api.request import WatchEvent
from minik8s.control.apiserver import rest

_GZIP_BYTES_MIN = 128 * 1024
_BROWSERS = ("curl/", "Wget/", "Mozilla/")

_encode = msgspec.json.Encoder().encode


async def document(http: web.Request, body: bytes, code: int, shape: rest.Shape) -> web.Response:
    """An answer in the shape asked for."""
    if shape.is_yaml:
        body = rest.to_yaml(body)
    elif _wants_pretty(http):
        body = msgspec.json.format(body, indent=2) + b"\n"
    answer = web.Response(body=body, status=code, headers={"Content-Type": shape.content_type})
    if len(body) > _GZIP_BYTES_MIN and "gzip" in http.headers.get("Accept-Encoding", ""):
        # zlib lets go of the interpreter lock; other requests are served meanwhile.
        answer.body = await asyncio.to_thread(gzip.compress, body, 1)
        answer.headers["Content-Encoding"] = "gzip"
        answer.headers["Vary"] = "Accept-Encoding"
    return answer


def failure(http: web.Request, error: StatusError) -> web.Response:
    """A Status, in YAML for who wants nothing else; for paths that are no API, plain text."""
    if error.code == 404 and error.message == "404 page not found":
        return web.Response(status=404, text="404 page not found\n")
    shape = rest.negotiate_failure(http.headers.get("Accept", ""))
    body = _encode(error.status())
    if shape.is_yaml:
        body = rest.to_yaml(body)
    elif _wants_pretty(http):
        body = msgspec.json.format(body, indent=2) + b"\n"
    headers = {"Content-Type": shape.content_type}
    if error.retry_after_s:
        headers["Retry-After"] = str(error.retry_after_s)
    answer = web.Response(body=body, status=error.code, headers=headers)
    for warning in error.warnings:
        warn(answer, warning)
    return answer


def error_event(error: StatusError) -> WatchEvent:
    """A failure as the last event of a watch."""
    return WatchEvent("ERROR", _encode(error.status()), 0)


def warn(answer: web.StreamResponse, text: str) -> None:
    """Add a Warning header: a quoted-string of RFC 7230, without what a header cannot hold."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    printable = "".join(char if char.isprintable() else " " for char in escaped)
    answer.headers.add("Warning", f'299 - "{printable}"')


def _wants_pretty(http: web.Request) -> bool:
    asked = http.query.get("pretty")
    if asked is not None:
        return asked in ("1", "true")
    return http.headers.get("User-Agent", "").startswith(_BROWSERS)
