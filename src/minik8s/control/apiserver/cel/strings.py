"""Functions of strings: those of the language, cel-go's extension, regular expressions (RE2: linear time), format."""

import base64
import binascii
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import re2

from minik8s.control.apiserver.cel.errors import Budget, CelError
from minik8s.control.apiserver.cel.functions import Overload, function, method
from minik8s.control.apiserver.cel.standard import shown_double, to_string
from minik8s.control.apiserver.cel.types import BOOL, BYTES, INT, STRING, CelType, list_of
from minik8s.control.apiserver.cel.values import Duration, Opaque, Timestamp, TypeValue, type_name

_STRINGS = list_of(STRING)
_PATTERN_CHARS_MAX = 10_000
_OPTIONS = re2.Options()
_OPTIONS.log_errors = False
_OPTIONS.max_mem = 1 << 20


@lru_cache(maxsize=256)
def pattern(text: str) -> Any:
    """A compiled regular expression. Raises CelError."""
    if len(text) > _PATTERN_CHARS_MAX:
        raise CelError("regex: expression too long")
    try:
        return re2.compile(text, options=_OPTIONS)
    except re2.error as error:
        shown = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else error.args[0]
        raise CelError(f"error parsing regexp: {shown}") from None


def matches(budget: Budget, text: str, regex: str) -> bool:
    """Whether the text contains a match."""
    budget.spend(1 + len(text) * (1 + len(regex) // 10) // 10)
    return pattern(regex).search(text) is not None


def _find(budget: Budget, text: str, regex: str) -> str:
    budget.spend(1 + len(text) * (1 + len(regex) // 10) // 10)
    found = pattern(regex).search(text)
    return found[0] if found else ""


def _find_all(budget: Budget, text: str, regex: str, limit: int = -1) -> list[str]:
    budget.spend(1 + len(text) * (1 + len(regex) // 10) // 5)
    found: list[str] = []
    for match in pattern(regex).finditer(text):
        if 0 <= limit <= len(found):
            break
        budget.spend(1)
        found.append(match[0])
    return found


def _char_at(text: str, index: int) -> str:
    if not 0 <= index <= len(text):
        raise CelError(f"index out of range: {index}")
    return text[index : index + 1]


def _index_of(budget: Budget, text: str, part: str, start: int = 0) -> int:
    budget.spend(len(text) // 10)
    if not 0 <= start <= len(text):
        raise CelError(f"index out of range: {start}")
    return text.find(part, start)


def _last_index_of(budget: Budget, text: str, part: str, end: int | None = None) -> int:
    budget.spend(len(text) // 10)
    if end is None:
        return text.rfind(part)
    if not 0 <= end <= len(text):
        raise CelError(f"index out of range: {end}")
    return text.rfind(part, 0, min(len(text), end + len(part)))


def _substring(text: str, start: int, end: int | None = None) -> str:
    end = len(text) if end is None else end
    if not 0 <= end <= len(text):
        raise CelError(f"index out of range: {end}")
    if not 0 <= start <= len(text):
        raise CelError(f"index out of range: {start}")
    if start > end:
        raise CelError(f"invalid substring range. start: {start}, end: {end}")
    return text[start:end]


def _replace(budget: Budget, text: str, old: str, new: str, count: int = -1) -> str:
    places = len(text) + 1 if not old else text.count(old)
    places = places if count < 0 else min(places, count)
    budget.spend((len(text) + places * len(new)) // 10)
    return text.replace(old, new, count)


def _split(budget: Budget, text: str, separator: str, limit: int = -1) -> list[str]:
    budget.spend(1 + len(text) // 10 + (text.count(separator) if separator else len(text)))
    if limit == 0:
        return []
    if not separator:
        cut = len(text) if limit < 0 else min(limit - 1, len(text))
        return [*text[:cut], text[cut:]] if cut < len(text) else list(text)
    return text.split(separator, limit - 1 if limit > 0 else -1)


def _join(budget: Budget, parts: Any, separator: str = "") -> str:
    for part in parts:
        if not isinstance(part, str):
            raise CelError("no such overload")
        budget.spend(1 + (len(part) + len(separator)) // 10)
    return separator.join(parts)


def _quote(text: str) -> str:
    escapes = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}
    escapes |= {"\\": "\\\\", '"': '\\"'}
    return '"' + "".join(escapes.get(char, char) for char in text) + '"'


def _format(budget: Budget, text: str, arguments: Any) -> str:
    """cel-go's format: %s %d %f %e %b %o %x %X %%, with a precision for f and e."""
    budget.spend(1 + len(text) // 10)
    made, values, at = [], iter(arguments), 0
    while (found := text.find("%", at)) >= 0:
        made.append(text[at:found])
        at = found + 1
        if text.startswith("%", at):
            made.append("%")
            at += 1
            continue
        precision = 6
        if text.startswith(".", at):
            digits = at + 1
            while digits < len(text) and text[digits] in "0123456789":
                digits += 1
            precision, at = int(text[at + 1 : digits][:4] or 0), digits
            if precision > 100:
                raise CelError("could not parse formatting clause: precision is too large")
        clause = text[at : at + 1]
        try:
            value = next(values)
        except StopIteration:
            raise CelError(f"could not parse formatting clause: index {len(arguments)} out of range") from None
        made.append(_clause(budget, clause, precision, value))
        at += 1
    made.append(text[at:])
    return "".join(made)


def _clause(budget: Budget, clause: str, precision: int, value: Any) -> str:
    kind = type_name(value)
    if clause == "s":
        return _shown(budget, value)
    if clause == "d" and kind in ("int", "uint"):
        return str(int(value))
    if clause == "d" and kind == "double":
        return shown_double(value)
    if clause in ("f", "e") and kind in ("double", "int", "uint"):
        return f"{float(value):.{precision}{clause}}"
    if clause in ("b", "o", "x", "X") and kind in ("int", "uint"):
        return format(int(value), clause)
    if clause == "b" and kind == "bool":
        return "1" if value else "0"
    if clause in ("x", "X") and kind in ("string", "bytes"):
        shown = (value.encode() if kind == "string" else value).hex()
        return shown.upper() if clause == "X" else shown
    if clause not in "dfeboxX" or not clause:
        raise CelError(f'could not parse formatting clause: unrecognized formatting clause "{clause}"')
    raise CelError(f"error during formatting: no such overload: %{clause} of {kind}")


def _shown(budget: Budget, value: Any) -> str:
    budget.spend(1)
    if isinstance(value, Mapping):
        entries = sorted((_shown(budget, key), _shown(budget, each)) for key, each in value.items())
        return "{" + ", ".join(f"{key}: {each}" for key, each in entries) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_shown(budget, each) for each in value) + "]"
    if value is None:
        return "null"
    if isinstance(value, TypeValue):
        return value.name
    if isinstance(value, Opaque):
        return str(value)
    if isinstance(value, str):
        budget.spend(len(value) // 10)
    if not isinstance(value, str | int | float | bytes | Timestamp | Duration):
        raise CelError(f"error during formatting: no such overload: %s of {type_name(value)}")
    return to_string(value)


def decode(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise CelError("illegal base64 data") from None


def _ascii(text: str, change: int) -> str:
    first = "A" if change > 0 else "a"
    return "".join(chr(ord(char) + change) if first <= char <= chr(ord(first) + 25) else char for char in text)


def _of_text(name: str, call: Any, result: CelType = STRING) -> Overload:
    return method(name, "string", result, call)


STRINGS = (
    method("startsWith", "string string", BOOL, str.startswith),
    method("endsWith", "string string", BOOL, str.endswith),
    method("contains", "string string", BOOL, lambda text, part: part in text),
    method("matches", "string string", BOOL, matches, charged=True),
    function("matches", "string string", BOOL, matches, charged=True),
    method("find", "string string", STRING, _find, charged=True),
    method("findAll", "string string", _STRINGS, _find_all, charged=True),
    method("findAll", "string string int", _STRINGS, _find_all, charged=True),
    method("charAt", "string int", STRING, _char_at),
    method("indexOf", "string string", INT, _index_of, charged=True),
    method("indexOf", "string string int", INT, _index_of, charged=True),
    method("lastIndexOf", "string string", INT, _last_index_of, charged=True),
    method("lastIndexOf", "string string int", INT, _last_index_of, charged=True),
    method("substring", "string int", STRING, _substring),
    method("substring", "string int int", STRING, _substring),
    method("replace", "string string string", STRING, _replace, charged=True),
    method("replace", "string string string int", STRING, _replace, charged=True),
    method("split", "string string", _STRINGS, _split, charged=True),
    method("split", "string string int", _STRINGS, _split, charged=True),
    method("join", "list", STRING, _join, charged=True),
    method("join", "list string", STRING, _join, charged=True),
    method("format", "string list", STRING, _format, charged=True),
    _of_text("lowerAscii", lambda text: _ascii(text, 32)),
    _of_text("upperAscii", lambda text: _ascii(text, -32)),
    _of_text("trim", str.strip),
    _of_text("reverse", lambda text: text[::-1]),
    function("strings.quote", "string", STRING, _quote),
    function("base64.encode", "bytes", STRING, lambda value: base64.b64encode(value).decode()),
    function("base64.decode", "string", BYTES, decode),
)
