"""Resource lists: amounts by the name of a resource, as `requests`, `limits` and quotas hold them. Pure.

A list is a dict of canonical quantities (`{"cpu": "500m", "memory": "1Gi"}`); results are new lists in the spelling of
their first argument. What a list does not name is none.
"""

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from minik8s.api.quantity import form_of, parse, render

Amounts = dict[str, str]

# As upstream: of these a pod may say how much it needs as a whole.
_POD_LEVEL = ("cpu", "memory")


def add(first: Mapping[str, str], second: Mapping[str, str]) -> Amounts:
    """The sums of both."""
    return dict(first) | {name: _sum(first.get(name, "0"), amount) for name, amount in second.items()}


def subtract(first: Mapping[str, str], second: Mapping[str, str]) -> Amounts:
    """What is left of the first; never less than nothing, as upstream counts what a change adds to a quota."""
    return {
        name: render(max(parse(amount) - parse(second.get(name, "0")), Fraction(0)), form_of(amount))
        for name, amount in first.items()
    }


def largest(first: Mapping[str, str], second: Mapping[str, str]) -> Amounts:
    """The larger of both, by name."""
    return dict(first) | {
        name: amount for name, amount in second.items() if name not in first or parse(amount) > parse(first[name])
    }


def total(lists: Iterable[Mapping[str, str]]) -> Amounts:
    """The sum of any number of lists."""
    result: Amounts = {}
    for each in lists:
        result = add(result, each)
    return result


def only(amounts: Mapping[str, str], names: Iterable[str]) -> Amounts:
    """The part of a list with these names."""
    wanted = set(names)
    return {name: amount for name, amount in amounts.items() if name in wanted}


def shown(amounts: Mapping[str, str]) -> str:
    """As messages of quotas show a list: `cpu=1,pods=2`."""
    return ",".join(f"{name}={amounts[name]}" for name in sorted(amounts))


def pod_amounts(spec: Mapping[str, Any], part: str) -> Amounts:
    """What the containers of a pod's spec ask for together; `part` is requests or limits.

    As upstream's PodRequests without overhead: containers and sidecars run together, init containers one after the
    other beside the sidecars started before them; what is said for the pod as a whole wins.
    """
    together = total(_of(container, part) for container in spec.get("containers") or ())
    sidecars: Amounts = {}
    initial: Amounts = {}
    for container in spec.get("initContainers") or ():
        if container.get("restartPolicy") == "Always":
            together = add(together, _of(container, part))
            sidecars = add(sidecars, _of(container, part))
            initial = largest(initial, sidecars)
        else:
            initial = largest(initial, add(sidecars, _of(container, part)))
    return largest(together, initial) | only(_of(spec, part), _POD_LEVEL)


def _of(container: Mapping[str, Any], part: str) -> Amounts:
    resources = container.get("resources") or {}
    return resources.get(part) or {}


def _sum(first: str, second: str) -> str:
    # As upstream: nothing has no spelling of its own.
    form = form_of(second) if parse(first) == 0 else form_of(first)
    return render(parse(first) + parse(second), form)
