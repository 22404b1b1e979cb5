"""Differences that are known: `accepted.json` for good, `pending.json` until a feature stands.

A rule names places by JSON path (`[*]` is any element, `$..` any depth) and all below them; and, if it is not about
every answer, the runs (`labels`), how the request begins, or a pattern of the recorded value.
"""

import functools
import json
import re
from dataclasses import dataclass
from pathlib import Path

from .compare import Difference

ACCEPTED_MAX = 30


@dataclass(frozen=True)
class Rule:
    """`reason` is upstream's rule, or the feature that is missing."""

    path: str
    reason: str
    labels: tuple[str, ...] = ()
    request: str = ""
    recorded: str = ""

    def covers(self, difference: Difference) -> bool:
        """Whether the rule is about a difference."""
        return (
            re.match(self._pattern, re.sub(r"\[[^\]]*\]", "[*]", difference.path)) is not None
            and difference.request.startswith(self.request)
            and (not self.labels or difference.label in self.labels)
            and (not self.recorded or re.fullmatch(self.recorded, str(difference.recorded)) is not None)
        )

    @functools.cached_property
    def _pattern(self) -> str:
        if self.path == "*":
            return ""
        return re.escape(self.path).replace(r"\$\.\.", r"\$(.*\.|\[\*\]\.)?") + r"($|[.\[:])"

    def __str__(self) -> str:
        return f"{self.path} {self.request} {','.join(self.labels)}".strip()


def accepted() -> list[Rule]:
    return _read("accepted.json")


def pending() -> list[Rule]:
    return _read("pending.json")


def _read(name: str) -> list[Rule]:
    rows = json.loads(Path(__file__).with_name(name).read_text())
    return [Rule(**{**row, "labels": tuple(row.get("labels", ()))}) for row in rows]
