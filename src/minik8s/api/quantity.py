"""Quantities: amounts of resources as users write them (`500m`, `1.5Gi`, `2e3`), exact and in canonical form.

As k8s.io/apimachinery/pkg/api/resource: no floats anywhere, nothing finer than a billionth, and the shortest form that
loses nothing. Amounts are Fractions of the base unit (cores, bytes, pieces).
"""

import re
from fractions import Fraction
from functools import lru_cache
from math import ceil, floor

FORMAT_WRONG = (
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"  # upstream's words
)
SUFFIX_WRONG = "unable to parse quantity's suffix"

_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL_SUFFIXES = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_BINARY_SUFFIXES = {exponent: suffix for suffix, exponent in _BINARY.items()}
_SHAPE = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))([eEinumkKMGTP]*[-+]?[0-9]*)")
_EXPONENT = re.compile(r"[eE]([-+]?[0-9]{1,3})")
_NANO = Fraction(1, 10**9)


@lru_cache(maxsize=4096)
def parse(text: str) -> Fraction:
    """The amount; ValueError, in upstream's words, if the text is not a quantity."""
    return _split(text)[0]


def form_of(text: str) -> str:
    """How the amount is spelled: decimal, binary or exponent."""
    return _split(text)[1]


def milli(text: str) -> int:
    """The amount in thousandths, rounded up: how processors are counted."""
    return ceil(parse(text) * 1000)


def whole(text: str) -> int:
    """The amount rounded up: how bytes and pods are counted."""
    return ceil(parse(text))


@lru_cache(maxsize=4096)
def canonical(text: str) -> str:
    """The same amount as the API stores it: `1000m` → `1`, `1024Mi` → `1Gi`, `0.5` → `500m`."""
    amount, form = _split(text)
    return render(amount, form)


def render(amount: Fraction | int, form: str = "decimal") -> str:
    """An amount in canonical form; `form` is decimal, binary or exponent."""
    amount = Fraction(amount)
    if not amount:
        return "0"
    if form == "binary" and abs(amount) >= 1024 and amount.denominator == 1:
        mantissa, exponent = amount.numerator, 0
        while mantissa % 1024 == 0 and exponent < 60:
            mantissa, exponent = mantissa // 1024, exponent + 10
        return f"{mantissa}{_BINARY_SUFFIXES.get(exponent, '')}"
    exponent = -9
    mantissa = _away_from_zero(amount / _NANO)
    while mantissa % 1000 == 0 and exponent < 18:
        mantissa, exponent = mantissa // 1000, exponent + 3
    if form == "exponent":
        return f"{mantissa}e{exponent}" if exponent else str(mantissa)
    return f"{mantissa}{_DECIMAL_SUFFIXES[exponent]}"


def _split(text: str) -> tuple[Fraction, str]:
    """(amount, form)."""
    shape = _SHAPE.fullmatch(text)
    if shape is None:
        raise ValueError(FORMAT_WRONG)
    number, suffix = Fraction(shape[1]), shape[2]
    if suffix in _DECIMAL:
        amount, form = number * Fraction(10) ** _DECIMAL[suffix], "decimal"
    elif suffix in _BINARY:
        amount, form = number * 2 ** _BINARY[suffix], "binary"
    elif exponent := _EXPONENT.fullmatch(suffix):
        amount, form = number * Fraction(10) ** int(exponent[1]), "exponent"
    else:
        raise ValueError(SUFFIX_WRONG)
    return _away_from_zero(amount / _NANO) * _NANO, form


def _away_from_zero(amount: Fraction) -> int:
    return ceil(amount) if amount > 0 else floor(amount)
