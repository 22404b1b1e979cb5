"""Admission plugins, in execution order (as upstream's chain)."""

from typing import Any

CHAIN: tuple[Any, ...] = ()
