"""Who the members are, from `--initial-cluster`, and the numeric ids that etcd's clients know them by. Pure."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Cluster:
    """The members' names with the URLs they serve each other on; `token` keeps two clusters' ids apart."""

    token: str
    peer_urls: Mapping[str, tuple[str, ...]]

    def member_id(self, name: str) -> int:
        return member_id(self.peer_urls[name], self.token)

    @property
    def id(self) -> int:
        return _id(*(f"{self.member_id(name):x}" for name in sorted(self.peer_urls)))


def member_id(peer_urls: Iterable[str], token: str) -> int:
    """As etcd's it depends on URLs and token alone: who joins later and who adds it agree on it."""
    return _id(*sorted(peer_urls), token)


def parse_cluster(text: str, token: str) -> Cluster:
    """`n1=https://127.0.0.1:2380,n2=…`, as --initial-cluster. Raises ValueError."""
    peer_urls: dict[str, tuple[str, ...]] = {}
    for part in text.split(","):
        name, equals, url = part.strip().partition("=")
        if not (name and equals):
            raise ValueError(f"{part!r} is not NAME=URL")
        parse_url(url)
        peer_urls[name] = (*peer_urls.get(name, ()), url)
    return Cluster(token, peer_urls)


def parse_url(url: str) -> tuple[str, int, bool]:
    """(host, port, whether TLS) of an http or https URL. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port is None or parts.path not in ("", "/"):
        raise ValueError(f"{url!r} is not http(s)://HOST:PORT")
    return parts.hostname, parts.port, parts.scheme == "https"


def parse_urls(text: str) -> tuple[str, ...]:
    """A comma-separated list of URLs. Raises ValueError."""
    urls = tuple(url.strip() for url in text.split(",") if url.strip())
    for url in urls:
        parse_url(url)
    return urls


def _id(*texts: str) -> int:
    return int.from_bytes(_digest(texts)[:8], "big")


def _digest(texts: Iterable[str]) -> bytes:
    return hashlib.sha256("\0".join(texts).encode()).digest()
