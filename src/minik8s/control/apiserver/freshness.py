"""How long a document may be kept, and whether a client still has the newest: the headers of discovery and OpenAPI.

Called by `http` with what `documents` found. As kube-apiserver: documents of OpenAPI are dated, discovery is tagged.
"""

from collections.abc import Mapping
from email.utils import formatdate, parsedate_to_datetime

from minik8s.control.apiserver.documents import Found
from minik8s.kit.clock import Clock

_YEAR_S = 365 * 24 * 3600


class Freshness:
    """Since when each document is what it is, as far as this server knows."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: dict[str, tuple[str, int]] = {}  # path → (tag, seconds); one entry per document

    def headers(self, path: str, found: Found, *, is_known: bool = False) -> dict[str, str]:
        """What an answer says, but for its type; that of 304 if the client has the document."""
        headers = {"Vary": found.vary} if found.vary else {}
        if found.etag and found.shows_etag:
            headers["ETag"] = found.etag
        if found.cache_control:
            headers["Cache-Control"] = found.cache_control
        if found.is_dated:
            headers["Last-Modified"] = formatdate(self._modified_s(path, found), usegmt=True)
            headers |= {} if is_known else {"Accept-Ranges": "bytes"}
        if found.is_immutable:
            headers["Expires"] = formatdate(self._clock.now_s() + _YEAR_S, usegmt=True)
        return headers

    def is_known(self, path: str, found: Found, asked: Mapping[str, str]) -> bool:
        """Whether a client that asked with these headers has it already."""
        if found.etag and found.shows_etag and asked.get("If-None-Match") == found.etag:
            return True
        since = asked.get("If-Modified-Since", "")
        if not (found.is_dated and since) or "If-None-Match" in asked:
            return False
        try:
            return self._modified_s(path, found) <= parsedate_to_datetime(since).timestamp()
        except ValueError:
            return False

    def _modified_s(self, path: str, found: Found) -> int:
        tag, since_s = self._since.get(path, ("", 0))
        if tag != found.etag:
            # Never the same second twice: a client that read the one before would think it has this one.
            since_s = max(int(self._clock.now_s()), since_s + 1)
            self._since[path] = (found.etag, since_s)
        return since_s
