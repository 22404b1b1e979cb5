"""Kubernetes' libraries of addresses: url, ip, cidr. Pure."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any
from urllib.parse import parse_qs, urlsplit

from minik8s.control.apiserver.cel.errors import CelError
from minik8s.control.apiserver.cel.functions import function, method
from minik8s.control.apiserver.cel.types import BOOL, INT, STRING, CelType, list_of, map_of
from minik8s.control.apiserver.cel.values import Opaque

URL, IP, CIDR = CelType("kubernetes.URL"), CelType("net.IP"), CelType("net.CIDR")
_CHARS_MAX = 8192


@dataclass(frozen=True, slots=True)
class Url(Opaque):
    """An absolute URI or an absolute path."""

    text: str
    scheme: str
    host: str
    path: str
    query: str

    type_name = URL.name

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Ip(Opaque):
    """An address, neither with a zone nor an IPv4 one in IPv6's clothes."""

    address: IPv4Address | IPv6Address

    type_name = IP.name

    def __str__(self) -> str:
        return str(self.address)


@dataclass(frozen=True, slots=True)
class Cidr(Opaque):
    """A network; `address` keeps the bits of the host."""

    address: IPv4Address | IPv6Address
    prefix: int

    type_name = CIDR.name

    @property
    def network(self) -> IPv4Network | IPv6Network:
        """The range of addresses."""
        return ip_network(f"{self.address}/{self.prefix}", strict=False)

    def __str__(self) -> str:
        return f"{self.address}/{self.prefix}"


def url(text: str) -> Url:
    """As Go's ParseRequestURI: absolute, without a fragment. Raises CelError."""
    wrong = CelError(f"URL parse error during conversion from string: parse {text[:128]!r}: invalid URI for request")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise wrong from None
    if len(text) > _CHARS_MAX or not (parts.scheme or text.startswith("/")) or any(ord(char) < 33 for char in text):
        raise wrong
    if port is not None and not 0 <= port <= 65535:
        raise wrong
    return Url(text, parts.scheme, parts.netloc.rpartition("@")[2], parts.path, parts.query)


def _hostname(of: Url) -> str:
    return urlsplit(of.text).hostname or "" if ":" in of.host or "[" in of.host else of.host


def _port(of: Url) -> str:
    port = urlsplit(of.text).port
    return "" if port is None else str(port)


def _path(of: Url) -> str:
    from urllib.parse import quote

    return quote(of.path, safe="/%:@!$&'()*+,;=~-._")


def _query(of: Url) -> dict[str, Any]:
    return dict(parse_qs(of.query, keep_blank_values=True, max_num_fields=1000))


def ip(text: str) -> Ip:
    """Raises CelError."""
    try:
        address = ip_address(text)
    except ValueError:
        raise CelError(f"IP Address {text[:128]!r} parse error during conversion from string") from None
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        raise CelError(f"IPv4-mapped IPv6 address {text[:128]!r} is not allowed")
    if "%" in text:
        raise CelError(f"IP address with zone value {text[:128]!r} is not allowed")
    return Ip(address)


def cidr(text: str) -> Cidr:
    """Raises CelError."""
    address, slash, prefix = text.partition("/")
    if slash and prefix.isascii() and prefix.isdigit() and len(prefix) <= 3:
        found = ip(address).address
        if int(prefix) <= found.max_prefixlen and str(int(prefix)) == prefix:
            return Cidr(found, int(prefix))
    raise CelError(f"network address parse error during conversion from string: {text[:128]!r}")


def _can(make: Any, text: str) -> bool:
    try:
        make(text)
    except CelError:
        return False
    return True


def _contains_ip(of: Cidr, address: Any) -> bool:
    found = (ip(address) if isinstance(address, str) else address).address
    return found.version == of.address.version and found in of.network


def _contains_cidr(of: Cidr, other: Any) -> bool:
    inner = cidr(other) if isinstance(other, str) else other
    if inner.address.version != of.address.version:
        return False
    return inner.prefix >= of.prefix and inner.network.network_address in of.network


def _is_global_unicast(of: Ip) -> bool:
    address = of.address
    is_broadcast = address == IPv4Address("255.255.255.255")
    return not (
        address.is_unspecified or address.is_loopback or address.is_multicast or address.is_link_local or is_broadcast
    )


def _is_link_local_multicast(of: Ip) -> bool:
    if isinstance(of.address, IPv4Address):
        return of.address in IPv4Network("224.0.0.0/24")
    return of.address.packed[0] == 0xFF and of.address.packed[1] & 0x0F == 2


NETWORK = (
    function("url", "string", URL, url),
    function("isURL", "string", BOOL, lambda text: _can(url, text)),
    method("getScheme", URL.name, STRING, lambda of: of.scheme),
    method("getHost", URL.name, STRING, lambda of: of.host),
    method("getHostname", URL.name, STRING, _hostname),
    method("getPort", URL.name, STRING, _port),
    method("getEscapedPath", URL.name, STRING, _path),
    method("getQuery", URL.name, map_of(list_of(STRING)), _query),
    function("ip", "string", IP, ip),
    function("isIP", "string", BOOL, lambda text: _can(ip, text)),
    function("ip.isCanonical", "string", BOOL, lambda text: str(ip(text)) == text),
    function("string", IP.name, STRING, str),
    method("family", IP.name, INT, lambda of: of.address.version),
    method("isUnspecified", IP.name, BOOL, lambda of: of.address.is_unspecified),
    method("isLoopback", IP.name, BOOL, lambda of: of.address.is_loopback),
    method("isLinkLocalMulticast", IP.name, BOOL, _is_link_local_multicast),
    method("isLinkLocalUnicast", IP.name, BOOL, lambda of: of.address.is_link_local),
    method("isGlobalUnicast", IP.name, BOOL, _is_global_unicast),
    function("cidr", "string", CIDR, cidr),
    function("isCIDR", "string", BOOL, lambda text: _can(cidr, text)),
    function("string", CIDR.name, STRING, str),
    method("containsIP", f"{CIDR.name} string", BOOL, _contains_ip),
    method("containsIP", f"{CIDR.name} {IP.name}", BOOL, _contains_ip),
    method("containsCIDR", f"{CIDR.name} string", BOOL, _contains_cidr),
    method("containsCIDR", f"{CIDR.name} {CIDR.name}", BOOL, _contains_cidr),
    method("ip", CIDR.name, IP, lambda of: Ip(of.address)),
    method("masked", CIDR.name, CIDR, lambda of: Cidr(of.network.network_address, of.prefix)),
    method("prefixLength", CIDR.name, INT, lambda of: of.prefix),
)
