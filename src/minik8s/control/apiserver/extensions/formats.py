"""Formats of strings in schemas: those that kube-openapi checks; others say nothing. Pure.

As k8s.io/kube-openapi/pkg/validation/strfmt, in the formats that structural schemas support.
"""

import base64
import binascii
import re
from collections.abc import Callable
from datetime import date
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from minik8s.api.names import dns_label_faults, dns_subdomain_faults

_TIME = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt ](?:[01]\d|2[0-3]):[0-5]\d(?::(?:[0-5]\d|60)(?:\.\d+)?)?"
    r"(?:[Zz]|[+-](?:[01]\d|2[0-3]):?[0-5]\d)?",
    re.ASCII,
)
_UUID = r"[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?%s[0-9a-fA-F]{3}-?%s[0-9a-fA-F]{3}-?[0-9a-fA-F]{12}"
_HEX = "[0-9a-fA-F]"
_DURATION = re.compile(
    r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h|d|w)(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h|d|w))*|0",
    re.ASCII,
)
_LONG_DURATION = re.compile(
    r"(?:\s*\d+\s*(?:nanoseconds?|nanos?|microseconds?|micros?|milliseconds?|millis?|milli|seconds?|sec|minutes?|min|hours?|hrs?|hr|days?|weeks?|wk)\s*)+",
    re.ASCII,
)
_EMAIL = re.compile(r"[^@\s<>]+@[^@\s<>]+")
_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*\.?"
)
_ISBN10, _ISBN13 = re.compile(r"\d{9}[\dX]", re.ASCII), re.compile(r"\d{13}", re.ASCII)
_CARD = re.compile(r"\d{12,19}", re.ASCII)
_SSN = re.compile(r"\d{3}[- ]?\d{2}[- ]?\d{4}", re.ASCII)
_HEX_COLOR = re.compile(r"#?(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})")
_PART = r"\s*(?:0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*"
_RGB_COLOR = re.compile(rf"rgb\({_PART},{_PART},{_PART}\)", re.ASCII)
_OBJECT_ID = re.compile(r"[0-9a-fA-F]{24}")
_MAC = re.compile(r"(?:[0-9a-fA-F]{2}[:-]){5,}[0-9a-fA-F]{2}|(?:[0-9a-fA-F]{4}\.){2,}[0-9a-fA-F]{4}")


def has_format(text: str, name: str) -> bool:
    """Whether a text has a format; of a format nobody checks, always."""
    check = _CHECKS.get(name.replace("-", "").lower()) if name not in _EXACT else _EXACT[name]
    return check is None or check(text)


def _full(pattern: str | re.Pattern[str]) -> Callable[[str], bool]:
    compiled = re.compile(pattern)
    return lambda text: compiled.fullmatch(text) is not None


def _is_date(text: str) -> bool:
    try:
        return len(text) == 10 and bool(date.fromisoformat(text))
    except ValueError:
        return False


def _is_time(text: str) -> bool:
    found = _TIME.fullmatch(text)
    return found is not None and _is_date(found[1])


def _is_duration(text: str) -> bool:
    return _DURATION.fullmatch(text) is not None or _LONG_DURATION.fullmatch(text) is not None


def _is_bytes(text: str) -> bool:
    try:
        return bool(text) and base64.b64decode(text.encode("ascii"), validate=True) is not None
    except (binascii.Error, UnicodeEncodeError, ValueError):
        return False


def _is_uri(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme) or text.startswith("/")


def _parses(parse: Callable[[str], object], needle: str = "") -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            parse(text)
        except ValueError:
            return False
        return needle in text

    return check


def _is_host(text: str) -> bool:
    return len(text) <= 255 and _HOST.fullmatch(text) is not None


_CHECKS: dict[str, Callable[[str], bool]] = {
    "bsonobjectid": _full(_OBJECT_ID),
    "uri": _is_uri,
    "email": _full(_EMAIL),
    "hostname": _is_host,
    "ipv4": _parses(IPv4Address),
    "ipv6": _parses(IPv6Address, ":"),
    "ip": _parses(ip_address),
    "cidr": _parses(lambda text: ip_network(text, strict=False), "/"),
    "mac": _full(_MAC),
    "uuid": _full(_UUID % (_HEX, _HEX)),
    "uuid3": _full(_UUID % ("3", _HEX)),
    "uuid4": _full(_UUID % ("4", "[89abAB]")),
    "uuid5": _full(_UUID % ("5", "[89abAB]")),
    "isbn": lambda text: _isbn(text, 10) or _isbn(text, 13),
    "isbn10": lambda text: _isbn(text, 10),
    "isbn13": lambda text: _isbn(text, 13),
    "creditcard": lambda text: _card(text),
    "ssn": _full(_SSN),
    "hexcolor": _full(_HEX_COLOR),
    "rgbcolor": _full(_RGB_COLOR),
    "byte": _is_bytes,
    "date": _is_date,
    "duration": _is_duration,
    "datetime": _is_time,
}
# Kubernetes' own names, which are spelt exactly so.
_EXACT: dict[str, Callable[[str], bool]] = {
    "k8s-short-name": lambda text: not dns_label_faults(text),
    "k8s-long-name": lambda text: not dns_subdomain_faults(text),
}


def _isbn(text: str, length: int) -> bool:
    digits = text.replace("-", "").replace(" ", "")
    if length == 10:
        values = [10 if char == "X" else int(char) for char in digits] if _ISBN10.fullmatch(digits) else []
        return bool(values) and sum((10 - index) * value for index, value in enumerate(values)) % 11 == 0
    if not _ISBN13.fullmatch(digits):
        return False
    return sum(int(char) * (3 if index % 2 else 1) for index, char in enumerate(digits)) % 10 == 0


def _card(text: str) -> bool:
    digits = re.sub(r"[^0-9]", "", text)
    if not _CARD.fullmatch(digits):
        return False
    doubled = [int(char) * (2 if index % 2 else 1) for index, char in enumerate(reversed(digits))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0
