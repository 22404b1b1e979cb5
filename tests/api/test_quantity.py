"""Quantities: exact amounts, canonical forms, upstream's words for what is none."""

from fractions import Fraction

import pytest

from minik8s.api import quantity


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("0", 0),
        ("1", 1),
        ("1.", 1),
        (".5", Fraction(1, 2)),
        ("-2", -2),
        ("+3", 3),
        ("100m", Fraction(1, 10)),
        ("250u", Fraction(1, 4000)),
        ("5n", Fraction(1, 200_000_000)),
        ("2k", 2000),
        ("1M", 10**6),
        ("3E", 3 * 10**18),
        ("1Ki", 1024),
        ("1.5Gi", 3 * 2**29),
        ("1e3", 1000),
        ("1E-2", Fraction(1, 100)),
    ],
)
def test_a_quantity_is_an_exact_amount(text, amount):
    assert quantity.parse(text) == amount


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("1", "1"),
        ("1000m", "1"),
        ("0.5", "500m"),
        ("1500m", "1500m"),
        ("1000", "1k"),
        ("1001", "1001"),
        ("0", "0"),
        ("0Mi", "0"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("512", "512"),
        ("1000Ki", "1000Ki"),
        ("0.5Ki", "512"),
        ("0.5Mi", "512Ki"),
        ("100.5Ki", "102912"),
        ("1e3", "1e3"),
        ("12e6", "12e6"),
        ("1e-3", "1e-3"),
        ("0.1n", "1n"),  # Nothing is finer than a billionth; rounding goes away from zero.
        ("-0.1n", "-1n"),
    ],
)
def test_a_quantity_is_stored_in_its_canonical_form(text, canonical):
    assert quantity.canonical(text) == canonical
    assert quantity.canonical(canonical) == canonical


@pytest.mark.parametrize("text", ["", "x", "1x", "1 Gi", "Gi", "--1", "1.2.3", "0x10", "1e", "١"])
def test_what_is_no_quantity_is_refused_in_upstreams_words(text):
    with pytest.raises(ValueError, match=r"quantities must match the regular expression|parse quantity's suffix"):
        quantity.parse(text)


@pytest.mark.parametrize(
    ("text", "milli", "whole"), [("100m", 100, 1), ("1", 1000, 1), ("1.0001", 1001, 2), ("1Ki", 1024000, 1024)]
)
def test_amounts_are_counted_upwards(text, milli, whole):
    assert (quantity.milli(text), quantity.whole(text)) == (milli, whole)
