"""Selectors: which objects a list, a watch or a controller means, by their labels or by a few of their fields.

Grammar, semantics and the wording of errors are those of k8s.io/apimachinery/pkg/{labels,fields}: kubectl users know
them. Parsing raises StatusError BadRequest; a parsed selector never fails.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from minik8s.api.errors import StatusError, bad_request
from minik8s.api.names import label_key_faults, label_value_faults

_EQUALS = ("=", "==")
_TOKEN = re.compile(r"\s*(==|!=|[=!(),<>]|[^\s=!(),<>]+)")
_SYMBOLS = frozenset(("==", "!=", "=", "!", "(", ")", ",", "<", ">"))
_OPERATORS = {"=": "=", "==": "==", "!=": "!=", "in": "in", "notin": "notin", ">": "gt", "<": "lt"}
_OPERATOR_NAMES = "in, notin, =, ==, !=, gt, lt"
_FROM_EXPRESSION = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label. Operators: `=`, `==`, `!=`, `in`, `notin`, `exists`, `!`, `gt`, `lt`."""

    key: str
    operator: str
    values: tuple[str, ...] = ()  # sorted

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether labels meet it. What is absent is in no set, so `!=` and `notin` hold for it."""
        value = labels.get(self.key)
        match self.operator:
            case "exists":
                return value is not None
            case "!":
                return value is None
            case "!=" | "notin":
                return value is None or value not in self.values
            case "gt" | "lt":
                return value is not None and self._compares(value)
        return value is not None and value in self.values

    def _compares(self, value: str) -> bool:
        try:
            own, other = int(value), int(self.values[0])
        except ValueError:
            return False
        return own > other if self.operator == "gt" else own < other

    def __str__(self) -> str:
        match self.operator:
            case "exists":
                return self.key
            case "!":
                return f"!{self.key}"
            case "in" | "notin":
                return f"{self.key} {self.operator} ({','.join(self.values)})"
            case "gt" | "lt":
                return f"{self.key}{'>' if self.operator == 'gt' else '<'}{self.values[0]}"
        return f"{self.key}{self.operator}{self.values[0]}"


@dataclass(frozen=True, slots=True)
class Labels:
    """A label selector: all requirements hold. Without any it matches everything."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with these labels is meant."""
        return all(requirement.matches(labels) for requirement in self.requirements)

    def __bool__(self) -> bool:
        return bool(self.requirements)

    def __str__(self) -> str:
        return ",".join(map(str, self.requirements))


@dataclass(frozen=True, slots=True)
class Fields:
    """A field selector: all terms hold. A term is (field, whether it must be equal, value)."""

    terms: tuple[tuple[str, bool, str], ...] = ()

    def matches(self, fields: Mapping[str, str]) -> bool:
        """Whether an object with these fields is meant."""
        return all((fields.get(name, "") == value) == equal for name, equal, value in self.terms)

    def required(self, name: str) -> str | None:
        """The value a field must have, if the selector says so: what an index is asked for."""
        return next((value for term, equal, value in self.terms if term == name and equal), None)

    def __bool__(self) -> bool:
        return bool(self.terms)

    def __str__(self) -> str:
        return ",".join(f"{name}{'=' if equal else '!='}{_escape(value)}" for name, equal, value in self.terms)


def parse_labels(text: str) -> Labels:
    """The selector a query says: `app=web,tier in (a,b),!canary`."""
    try:
        requirements = _Parser(text).parse()
    except ValueError as error:
        raise bad_request(str(error)) from None
    return Labels(tuple(sorted(requirements, key=lambda requirement: requirement.key)))


def parse_fields(text: str, allowed: Iterable[str] = ()) -> Fields:
    """The selector a query says: `spec.nodeName=n1,status.phase!=Failed`.

    `allowed` holds the names a kind has beyond metadata.name and metadata.namespace.
    """
    known = {"metadata.name", "metadata.namespace", *allowed}
    terms = []
    for part in re.findall(r"(?:\\.|[^,\\])+", text):
        found = re.match(r"((?:\\.|[^=!\\])*)(==|!=|=)(.*)", part, re.DOTALL)
        if found is None:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{part}'")
        name, operator, value = found[1], found[2], _unescape(found[3])
        if name not in known:
            raise _unknown_field(name, known)
        terms.append((name, operator != "!=", value))
    return Fields(tuple(terms))


def from_label_selector(selector: Any) -> Labels | None:
    """The selector of a LabelSelector, as a Struct or a document. None of one that is absent: it matches nothing."""
    if selector is None:
        return None
    labels = _get(selector, "matchLabels") or {}
    requirements = [Requirement(key, "=", (value,)) for key, value in labels.items()]
    for expression in _get(selector, "matchExpressions") or ():
        operator = _FROM_EXPRESSION.get(_get(expression, "operator"), "in")
        values = tuple(sorted(_get(expression, "values") or ()))
        requirements.append(Requirement(_get(expression, "key"), operator, values))
    return Labels(tuple(sorted(requirements, key=lambda requirement: requirement.key)))


def label_selector_matches(selector: Any, labels: Mapping[str, str] | None) -> bool:
    """Whether a LabelSelector, as a Struct or a document, means an object with these labels."""
    parsed = from_label_selector(selector)
    return parsed is not None and parsed.matches(labels or {})


def format_label_selector(selector: Any) -> str:
    """A LabelSelector as tables show it: `app=web`, `<none>`."""
    return str(from_label_selector(selector) or "") or "<none>"


def format_labels(labels: Mapping[str, str] | None) -> str:
    """Labels as tables show them: `app=web,tier=a`, `<none>`."""
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items())) or "<none>"


def requirement_fault(key: str, operator: str, values: tuple[str, ...]) -> str:
    """What is wrong with a requirement, in upstream's words; "" if nothing is."""
    if faults := label_key_faults(key):
        return f'key: Invalid value: "{key}": {"; ".join(faults)}'
    if operator in ("in", "notin") and not values:
        return "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty"
    for index, value in enumerate(values):
        if operator in ("gt", "lt") and not re.fullmatch(r"[+-]?[0-9]+", value):
            why = "for 'Gt', 'Lt' operators, the value must be an integer"
            return f'values[{index}]: Invalid value: "{value}": {why}'
        if faults := label_value_faults(value):
            return f'values[{index}][{key}]: Invalid value: "{value}": {"; ".join(faults)}'
    return ""


class _Parser:
    """Recursive descent over the words of a label selector. Raises ValueError with upstream's words."""

    def __init__(self, text: str) -> None:
        self._tokens = _TOKEN.findall(text)
        self._at = 0

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        word = self._peek()
        self._at += 1
        return word

    def parse(self) -> list[Requirement]:
        requirements: list[Requirement] = []
        while word := self._peek():
            if word in _SYMBOLS and word != "!":
                raise ValueError(f"found '{word}', expected: !, identifier, or 'end of string'")
            try:
                requirements.append(self._requirement())
            except ValueError as error:
                raise ValueError(f"unable to parse requirement: {error}") from None
            separator = self._next()
            if separator not in ("", ","):
                raise ValueError(f"found '{separator}', expected: ',' or 'end of string'")
            following = self._peek()
            if separator and (not following or (following in _SYMBOLS and following != "!")):
                raise ValueError(f"found '{following}', expected: identifier after ','")
        return requirements

    def _requirement(self) -> Requirement:
        negated = self._peek() == "!"
        if negated:
            self._next()
        key = self._next()
        if not key or key in _SYMBOLS:
            raise ValueError(f"found '{key}', expected: identifier")
        if faults := label_key_faults(key):
            raise ValueError(f'<nil>: Invalid value: "{key}": {"; ".join(faults)}')
        if negated or self._peek() in ("", ","):
            return Requirement(key, "!" if negated else "exists")
        word = self._next()
        if word not in _OPERATORS:
            raise ValueError(f"found '{word}', expected: {_OPERATOR_NAMES}")
        operator = _OPERATORS[word]
        values = self._values() if operator in ("in", "notin") else (self._value(),)
        if fault := requirement_fault(key, operator, values):
            raise ValueError(fault)
        return Requirement(key, operator, values)

    def _value(self) -> str:
        if self._peek() in ("", ","):
            return ""
        word = self._next()
        if word in _SYMBOLS:
            raise ValueError(f"found '{word}', expected: identifier")
        return word

    def _values(self) -> tuple[str, ...]:
        if (word := self._next()) != "(":
            raise ValueError(f"found '{word}' expected: '('")
        values: set[str] = set()
        wants_value = True  # An empty place between commas is the empty value.
        while (word := self._next()) != ")":
            if word == ",":
                if wants_value:
                    values.add("")
                wants_value = True
            elif word and word not in _SYMBOLS and wants_value:
                values.add(word)
                wants_value = False
            else:
                raise ValueError(f"found '{word}', expected: ',' or ')'")
        if wants_value and values:
            values.add("")
        return tuple(sorted(values))


def _get(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name)


def _unknown_field(name: str, known: set[str]) -> StatusError:
    if len(known) > 2:
        return bad_request(f"field label not supported: {name}")
    return bad_request(f'"{name}" is not a known field selector: only "metadata.name", "metadata.namespace"')


def _escape(value: str) -> str:
    return re.sub(r"([\\,=])", r"\\\1", value)


def _unescape(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value)
