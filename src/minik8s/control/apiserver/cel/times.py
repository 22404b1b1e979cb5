"""Moments and time spans: reading them, showing them, and their parts. Pure."""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from minik8s.control.apiserver.cel.errors import CelError
from minik8s.control.apiserver.cel.functions import Overload, method
from minik8s.control.apiserver.cel.types import DURATION, INT, TIMESTAMP
from minik8s.control.apiserver.cel.values import INT_MAX, INT_MIN, Duration, Timestamp

_S = 10**9
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_S, _LAST_S = -62135596800, 253402300799  # of the years 1 and 9999
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d{1,30}))?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_SPAN = re.compile(r"([+-]?)((?:(?:\d{1,30}(?:\.\d{0,30})?|\.\d{1,30})(?:ns|us|µs|μs|ms|s|m|h))+)", re.ASCII)
_PART = re.compile(r"(\d*)(?:\.(\d*))?(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": _S, "m": 60 * _S, "h": 3600 * _S}


def moment(ns: int) -> Timestamp:
    """A Timestamp in range. Raises CelError."""
    if not _FIRST_S <= ns // _S <= _LAST_S:
        raise CelError("timestamp overflow")
    return Timestamp(ns)


def span(ns: int) -> Duration:
    """A Duration in range. Raises CelError."""
    if not INT_MIN <= ns <= INT_MAX:
        raise CelError("duration overflow")
    return Duration(ns)


def parse_moment(text: str) -> Timestamp:
    """RFC 3339. Raises CelError."""
    found = _MOMENT.fullmatch(text)
    try:
        if found is None:
            raise ValueError(text)
        day, clock, fraction, zone = found.groups()
        at = datetime.fromisoformat(f"{day}T{clock}{'+00:00' if zone in 'Zz' else zone}")
    except ValueError:
        raise CelError(f"type conversion error from 'string' to 'google.protobuf.Timestamp': {text[:64]!r}") from None
    since = at - _EPOCH
    return moment((since.days * 86400 + since.seconds) * _S + int(f"{fraction or '':0<9.9}"))


def parse_span(text: str) -> Duration:
    """As Go writes them: `1h30m`. Raises CelError."""
    found = _SPAN.fullmatch(text)
    if text in ("0", "+0", "-0"):
        return Duration(0)
    if found is None:
        raise CelError(f"type conversion error from 'string' to 'google.protobuf.Duration': \"{text[:64]}\"")
    ns = 0
    for whole, fraction, unit in _PART.findall(found[2]):
        ns += int(whole or 0) * _UNITS[unit]
        if fraction:
            ns += int(fraction) * _UNITS[unit] // 10 ** len(fraction)
    return span(-ns if found[1] == "-" else ns)


def show_moment(at: Timestamp) -> str:
    """RFC 3339, with as many digits of a second as there are."""
    seconds, fraction = divmod(at.ns, _S)
    text = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    return text + (f".{fraction:09}".rstrip("0") if fraction else "") + "Z"


def show_span(of: Duration) -> str:
    """Seconds, as cel-go says it: `5400s`."""
    seconds, fraction = divmod(abs(of.ns), _S)
    sign = "-" if of.ns < 0 else ""
    return f"{sign}{seconds}" + (f".{fraction:09}".rstrip("0") if fraction else "") + "s"


def _local(at: Timestamp, zone: str) -> datetime:
    return (_EPOCH + timedelta(microseconds=at.ns // 1000)).astimezone(_zone(zone))


def _zone(name: str) -> tzinfo:
    if found := re.fullmatch(r"([+-]?)(\d\d):(\d\d)", name, re.ASCII):
        offset = timedelta(hours=int(found[2]), minutes=int(found[3]))
        return timezone(-offset if found[1] == "-" else offset)
    if name in ("", "UTC"):
        return UTC
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z][A-Za-z0-9_+-]*)*", name):
        raise CelError(f"unknown time zone {name[:64]}")
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise CelError(f"unknown time zone {name[:64]}") from None


_OF_MOMENTS = {
    "getFullYear": lambda at: at.year,
    "getMonth": lambda at: at.month - 1,
    "getDate": lambda at: at.day,
    "getDayOfMonth": lambda at: at.day - 1,
    "getDayOfWeek": lambda at: at.isoweekday() % 7,
    "getDayOfYear": lambda at: at.timetuple().tm_yday - 1,
    "getHours": lambda at: at.hour,
    "getMinutes": lambda at: at.minute,
    "getSeconds": lambda at: at.second,
    "getMilliseconds": lambda at: at.microsecond // 1000,
}
_OF_SPANS = {"getHours": 3600 * _S, "getMinutes": 60 * _S, "getSeconds": _S, "getMilliseconds": 10**6}


def _library() -> list[Overload]:
    found = []
    for name, part in _OF_MOMENTS.items():

        def get(at: Timestamp, zone: str = "UTC", part=part) -> int:  # type: ignore[no-untyped-def]
            return part(_local(at, zone))

        found.append(method(name, TIMESTAMP.name, INT, get))
        found.append(method(name, f"{TIMESTAMP.name} string", INT, get))
    for name, unit in _OF_SPANS.items():

        def count(of: Duration, unit: int = unit) -> int:
            return abs(of.ns) // unit * (-1 if of.ns < 0 else 1)

        found.append(method(name, DURATION.name, INT, count))
    return found


TIMES = tuple(_library())
