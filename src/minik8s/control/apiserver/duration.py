"""How tables say time: ages and durations as kubectl users know them (as k8s.io/apimachinery/pkg/util/duration)."""

from datetime import datetime

UNKNOWN = "<unknown>"
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def human(seconds: float) -> str:
    """`90s`, `5m30s`, `3h`, `2d4h`: two units at most, fewer as the duration grows."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    if whole < 0:
        return "0s"
    if whole < 2 * _MINUTE:
        return f"{whole}s"
    minutes, hours, days = whole // _MINUTE, whole // _HOUR, whole // _DAY
    if minutes < 10:
        return _two(minutes, "m", whole % _MINUTE, "s")
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _two(days, "d", hours % 24, "h")
    if days < 2 * 365:
        return f"{days}d"
    if days < 8 * 365:
        return _two(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large}{large_unit}{small}{small_unit}" if small else f"{large}{large_unit}"


def seconds_of(timestamp: str) -> float:
    """Seconds since the epoch of an RFC 3339 timestamp, which the schema has checked."""
    return datetime.fromisoformat(timestamp).timestamp()


def since(timestamp: str | None, now_s: float) -> str:
    """How long ago a timestamp is; `<unknown>` if there is none."""
    return human(now_s - seconds_of(timestamp)) if timestamp else UNKNOWN


def age(document: dict, now_s: float) -> str:
    """The age of an object, for the column that nearly every table has."""
    return since(document["metadata"].get("creationTimestamp"), now_s)
