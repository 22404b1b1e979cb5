"""JSONPath as definitions use it: for printer columns, scale, selectable fields. Pure.

The dialect of k8s.io/client-go/util/jsonpath without templates: `.a.b`, `['a.b']`, `[0]`, `[1:3]`, `[*]`, `..a` and
`[?(@.type=="Ready")]`. What does not parse finds nothing; what is missing is left out.
"""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

_STEP = re.compile(
    r"""
    \.\.(?P<deep>[^.\[\]'"]+|\*)
  | \.(?P<name>(?:\\.|[^.\[\]\\])+)
  | \[(?P<quote>['"])(?P<quoted>(?:\\.|(?!(?P=quote)).)*)(?P=quote)\]
  | \[(?P<star>\*)\]
  | \[(?P<start>-?\d*):(?P<end>-?\d*)(?::(?P<stride>\d*))?\]
  | \[(?P<indices>-?\d+(?:,-?\d+)*)\]
  | \[\?\((?P<test>(?:[^()]|\([^()]*\))*)\)\]
  | (?P<root>\.)$
    """,
    re.VERBOSE,
)
_TEST = re.compile(r"\s*@(?P<path>[^=!<>\s]*)\s*(?:(?P<sign>==|!=|<=|>=|<|>)\s*(?P<value>.+?))?\s*")
_RESULTS_MAX = 1000

Step = Callable[[Any], Iterator[Any]]


def find(document: Any, path: str) -> list[Any]:
    """What a path leads to, in the order of the document."""
    found = [document]
    for step in _steps(path) or [_nothing]:
        found = [value for each in found for value in step(each)][:_RESULTS_MAX]
    return found


def simple_steps(path: str) -> list[str] | None:
    """The names in a path that has nothing else, such as `.spec.replicas`; None of others."""
    steps = path.removeprefix(".").split(".")
    return steps if path.startswith(".") and all(steps) and "[" not in path else None


@lru_cache(maxsize=512)
def _steps(path: str) -> tuple[Step, ...] | None:
    steps: list[Step] = []
    at = 0
    text = path.strip().removeprefix("{").removesuffix("}").removeprefix("$")
    while at < len(text):
        match = _STEP.match(text, at)
        if match is None:
            return None
        steps.append(_step(match))
        at = match.end()
    return tuple(steps)


def _step(match: re.Match[str]) -> Step:
    parts = match.groupdict()
    if parts["root"]:
        return lambda value: iter([value])
    if parts["deep"] is not None:
        return _deep(parts["deep"])
    if parts["name"] is not None:
        return _named(parts["name"].replace("\\", ""))
    if parts["quoted"] is not None:
        return _named(re.sub(r"\\(.)", r"\1", parts["quoted"]), is_quoted=True)
    if parts["star"]:
        return _all
    if parts["indices"] is not None:
        return _at([int(each) for each in parts["indices"].split(",")])
    if parts["test"] is not None:
        return _where(parts["test"])
    start, end, stride = (int(parts[name]) if parts[name] else None for name in ("start", "end", "stride"))
    return lambda value: iter(value[start:end:stride] if isinstance(value, list) and stride != 0 else ())


def _named(name: str, *, is_quoted: bool = False) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if name == "*" and not is_quoted:
            yield from _all(value)
        elif isinstance(value, dict) and name in value:
            yield value[name]

    return step


def _all(value: Any) -> Iterator[Any]:
    yield from value if isinstance(value, list) else value.values() if isinstance(value, dict) else ()


def _at(indices: list[int]) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list):
            yield from (value[index] for index in indices if -len(value) <= index < len(value))

    return step


def _deep(name: str) -> Step:
    here = _named(name)

    def step(value: Any) -> Iterator[Any]:
        yield from here(value)
        for inner in _all(value):
            if isinstance(inner, dict | list):
                yield from step(inner)

    return step


def _where(test: str) -> Step:
    match = _TEST.fullmatch(test)
    if match is None:
        return _nothing
    path, sign, text = match["path"], match["sign"], match["value"]
    wanted = _literal(text or "")

    def step(value: Any) -> Iterator[Any]:
        for item in value if isinstance(value, list) else ():
            found = find(item, path)
            if (found and not sign) or (found and _holds(found[0], sign, wanted)):
                yield item

    return step


def _holds(value: Any, sign: str, wanted: Any) -> bool:
    if isinstance(value, bool) != isinstance(wanted, bool):
        return sign == "!="
    try:
        match sign:
            case "==":
                return bool(value == wanted)
            case "!=":
                return bool(value != wanted)
            case "<":
                return bool(value < wanted)
            case "<=":
                return bool(value <= wanted)
            case ">":
                return bool(value > wanted)
            case _:
                return bool(value >= wanted)
    except TypeError:
        return False


def _literal(text: str) -> Any:
    if text[:1] in ("'", '"'):
        return text[1:-1]
    if text in ("true", "false"):
        return text == "true"
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        return text


def _nothing(value: Any) -> Iterator[Any]:
    return iter(())
