"""What clients are told about keeping documents."""

import pytest

from minik8s.control.apiserver.documents import Found
from minik8s.control.apiserver.freshness import Freshness


class StandingClock:
    """It is always the same second."""

    def now_s(self) -> float:
        return 1_000_000.5

    def monotonic_s(self) -> float:
        return 0.0


def index(tag: str) -> Found:
    return Found(b"{}", etag=f'"{tag}"', is_dated=True, shows_etag=False, vary="")


def test_a_tagged_document_is_known_by_its_tag():
    fresh, found = Freshness(StandingClock()), Found(b"{}", etag='"a"', cache_control="public")
    assert fresh.headers("/apis", found) == {"Vary": "Accept", "ETag": '"a"', "Cache-Control": "public"}
    assert fresh.is_known("/apis", found, {"If-None-Match": '"a"'})
    assert not fresh.is_known("/apis", found, {"If-None-Match": '"b"'})
    assert not fresh.is_known("/apis", found, {})


def test_a_dated_document_is_known_until_it_changes_even_within_a_second():
    fresh = Freshness(StandingClock())
    date = fresh.headers("/openapi/v3", index("a"))["Last-Modified"]
    assert fresh.is_known("/openapi/v3", index("a"), {"If-Modified-Since": date})
    assert not fresh.is_known("/openapi/v3", index("b"), {"If-Modified-Since": date})
    later = fresh.headers("/openapi/v3", index("b"))["Last-Modified"]
    assert fresh.is_known("/openapi/v3", index("b"), {"If-Modified-Since": later})


@pytest.mark.parametrize("date", ["", "yesterday", "Fri, 99 Foo 2026 16:55:24 GMT", "\x00"])
def test_what_is_no_date_is_not_heard(date: str):
    assert not Freshness(StandingClock()).is_known("/openapi/v3", index("a"), {"If-Modified-Since": date})
