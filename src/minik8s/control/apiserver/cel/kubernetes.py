"""Kubernetes' libraries of amounts, versions and formats: quantity, semver, format. Pure."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from minik8s.api import names, quantity
from minik8s.control.apiserver.cel import network, times
from minik8s.control.apiserver.cel.errors import CelError
from minik8s.control.apiserver.cel.functions import Overload, function, method
from minik8s.control.apiserver.cel.strings import decode as decode_base64
from minik8s.control.apiserver.cel.types import BOOL, DOUBLE, INT, STRING, CelType
from minik8s.control.apiserver.cel.values import INT_MAX, INT_MIN, NONE, Opaque, Optional, integer

QUANTITY, SEMVER, FORMAT = (
    CelType("kubernetes.Quantity"),
    CelType("kubernetes.Semver"),
    CelType("kubernetes.NamedFormat"),
)
_OPTIONAL = CelType("optional_type")
_SEMVER = re.compile(
    r"(0|[1-9]\d{0,18})\.(0|[1-9]\d{0,18})\.(0|[1-9]\d{0,18})"
    r"(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True, eq=False)
class Quantity(Opaque):
    """An amount; equal if the amounts are, however they are written."""

    amount: Fraction
    form: str

    type_name = QUANTITY.name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantity) and self.amount == other.amount

    def __hash__(self) -> int:
        return hash(self.amount)

    def __str__(self) -> str:
        return quantity.render(self.amount, self.form)


@dataclass(frozen=True, slots=True)
class Semver(Opaque):
    """A semantic version, without what is said of its build."""

    numbers: tuple[int, int, int]
    prerelease: tuple[str, ...]

    type_name = SEMVER.name

    @property
    def order(self) -> tuple[Any, ...]:
        """What versions are compared by: a release comes after all that lead to it."""
        parts = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in self.prerelease)
        return (self.numbers, not parts, parts)

    def __str__(self) -> str:
        text = ".".join(map(str, self.numbers))
        return f"{text}-{'.'.join(self.prerelease)}" if self.prerelease else text


@dataclass(frozen=True, slots=True)
class Format(Opaque):
    """A named format of strings, and what finds its faults."""

    name: str
    faults: Callable[[str], list[str]]

    type_name = FORMAT.name

    def __str__(self) -> str:
        return self.name


def _quantity(text: str) -> Quantity:
    try:
        if len(text) > 64:
            raise ValueError(quantity.FORMAT_WRONG)
        return Quantity(quantity.parse(text), quantity.form_of(text))
    except ValueError as error:
        raise CelError(str(error)) from None


def _semver(text: str, is_lenient: bool = False) -> Semver:
    if is_lenient:
        head, mark, rest = re.fullmatch(r"([^-+]*)([-+]?)(.*)", text.removeprefix("v"), re.DOTALL).groups()  # type: ignore[union-attr]
        parts = [part.lstrip("0") or "0" if part.isdigit() else part for part in head.split(".")]
        text = ".".join([*parts, "0", "0"][: max(3, len(parts))]) + mark + rest
    found = _SEMVER.fullmatch(text)
    if found is None or len(text) > 256:
        raise CelError(f"semver parse error during conversion from string: {text[:64]!r}")
    return Semver((int(found[1]), int(found[2]), int(found[3])), tuple(found[4].split(".")) if found[4] else ())


def _can(make: Callable[..., Any], *arguments: Any) -> bool:
    try:
        make(*arguments)
    except CelError:
        return False
    return True


def _compare(left: Any, right: Any) -> int:
    return (left > right) - (left < right)


def _as_integer(of: Quantity) -> int:
    if of.amount.denominator != 1 or not INT_MIN <= of.amount <= INT_MAX:
        raise CelError("cannot convert value to integer")
    return int(of.amount)


def _is_integer(of: Quantity) -> bool:
    return of.amount.denominator == 1 and INT_MIN <= of.amount <= INT_MAX


def _plus(of: Quantity, other: Any, sign: int) -> Quantity:
    amount = other.amount if isinstance(other, Quantity) else other
    return Quantity(of.amount + sign * amount, of.form)


def _amounts(name: str) -> list[Overload]:
    sign = 1 if name == "add" else -1
    return [
        method(name, f"{QUANTITY.name} {other}", QUANTITY, lambda of, by: _plus(of, by, sign))
        for other in (QUANTITY.name, "int")
    ]


def _fails(make: Callable[[str], Any], why: str) -> Callable[[str], list[str]]:
    return lambda text: [] if _can(make, text) else [why]


def _uuid(text: str) -> list[str]:
    pattern = r"(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}"
    return [] if re.fullmatch(pattern, text) else ["does not match the UUID format"]


def _date(text: str) -> list[str]:
    return [] if _can(times.parse_moment, f"{text}T00:00:00Z") else ["invalid date"]


def _prefixed(faults: Callable[[str], list[str]]) -> Callable[[str], list[str]]:
    """Of the beginning of a name, to which something is added: it may end in a dash."""
    return lambda text: faults(text[:-1] + "a" if text.endswith("-") else text)


FORMATS = {
    name: Format(name, faults)
    for name, faults in (
        ("dns1123Label", names.dns_label_faults),
        ("dns1123Subdomain", names.dns_subdomain_faults),
        ("dns1035Label", names.dns_1035_label_faults),
        ("qualifiedName", names.label_key_faults),
        ("dns1123LabelPrefix", _prefixed(names.dns_label_faults)),
        ("dns1123SubdomainPrefix", _prefixed(names.dns_subdomain_faults)),
        ("dns1035LabelPrefix", _prefixed(names.dns_1035_label_faults)),
        ("labelValue", names.label_value_faults),
        ("uri", _fails(network.url, "invalid URI")),
        ("uuid", _uuid),
        ("byte", _fails(decode_base64, "invalid base64")),
        ("date", _date),
        ("datetime", _fails(times.parse_moment, "invalid datetime")),
    )
}


def _validate(of: Format, text: str) -> Optional:
    faults = of.faults(text)
    return Optional(faults) if faults else NONE


def _named(name: str) -> Optional:
    return Optional(FORMATS[name]) if name in FORMATS else NONE


def _formats() -> list[Overload]:
    found = [
        function("format.named", "string", _OPTIONAL, _named),
        method("validate", f"{FORMAT.name} string", _OPTIONAL, _validate),
    ]
    for name, each in FORMATS.items():
        found.append(function(f"format.{name}", "", FORMAT, lambda each=each: each))
    return found


KUBERNETES = (
    function("quantity", "string", QUANTITY, _quantity),
    function("isQuantity", "string", BOOL, lambda text: _can(_quantity, text)),
    method("asInteger", QUANTITY.name, INT, lambda of: integer(_as_integer(of))),
    method("asApproximateFloat", QUANTITY.name, DOUBLE, lambda of: float(of.amount)),
    method("isInteger", QUANTITY.name, BOOL, _is_integer),
    method("sign", QUANTITY.name, INT, lambda of: _compare(of.amount, 0)),
    method("isGreaterThan", f"{QUANTITY.name} {QUANTITY.name}", BOOL, lambda a, b: a.amount > b.amount),
    method("isLessThan", f"{QUANTITY.name} {QUANTITY.name}", BOOL, lambda a, b: a.amount < b.amount),
    method("compareTo", f"{QUANTITY.name} {QUANTITY.name}", INT, lambda a, b: _compare(a.amount, b.amount)),
    *_amounts("add"),
    *_amounts("sub"),
    function("semver", "string", SEMVER, _semver),
    function("semver", "string bool", SEMVER, _semver),
    function("isSemver", "string", BOOL, lambda text: _can(_semver, text)),
    function("isSemver", "string bool", BOOL, lambda text, lenient: _can(_semver, text, lenient)),
    method("major", SEMVER.name, INT, lambda of: of.numbers[0]),
    method("minor", SEMVER.name, INT, lambda of: of.numbers[1]),
    method("patch", SEMVER.name, INT, lambda of: of.numbers[2]),
    method("isGreaterThan", f"{SEMVER.name} {SEMVER.name}", BOOL, lambda a, b: a.order > b.order),
    method("isLessThan", f"{SEMVER.name} {SEMVER.name}", BOOL, lambda a, b: a.order < b.order),
    method("compareTo", f"{SEMVER.name} {SEMVER.name}", INT, lambda a, b: _compare(a.order, b.order)),
    function("jsonpatch.escapeKey", "string", STRING, lambda text: text.replace("~", "~0").replace("/", "~1")),
    *_formats(),
)
