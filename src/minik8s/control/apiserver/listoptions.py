"""What the query of a list or watch asks for: revision, page, initial events. Pure; as upstream's ListOptions.

Called by `reads`. Combinations that make no sense are refused in upstream's words: 422 for what validation finds, 400
for what cannot be read.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from minik8s.api import errors
from minik8s.api.errors import Cause, StatusError

NEWEST = -1
"""The revision of a token that goes on with whatever there is now: what an expired one is exchanged for."""

_ENCODED_AS = "meta.k8s.io/v1"
_MATCHES = ("Exact", "NotOlderThan")


@dataclass(frozen=True, slots=True)
class Token:
    """A continue parameter: where the next page begins, and at which revision (0: the page before was of none)."""

    revision: int
    start: str  # `namespace/name` of the last object of the page before

    def encode(self) -> str:
        """The parameter. Clients must not look into it."""
        document = msgspec.json.encode({"v": _ENCODED_AS, "rv": self.revision, "start": self.start})
        return base64.urlsafe_b64encode(document).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class ListOptions:
    """The query, understood."""

    revision: int | None  # None: the newest; 0: any; else at least, or with `is_exact` exactly, this
    is_exact: bool
    limit: int  # 0: none
    token: Token | None
    initial_events: bool | None  # of a watch: whether it begins with what there is; None: not said
    wants_bookmarks: bool
    timeout_s: int  # of a watch; 0: not said


def parse_list(query: Mapping[str, str]) -> ListOptions:
    """The options of a list. Raises StatusError Invalid, BadRequest."""
    match, text = query.get("resourceVersionMatch", ""), query.get("resourceVersion", "")
    causes = []
    if match:
        if not text:
            causes.append(_forbidden(_MATCH, "resourceVersionMatch is forbidden unless resourceVersion is provided"))
        if query.get("continue"):
            causes.append(_forbidden(_MATCH, "resourceVersionMatch is forbidden when continue is provided"))
        if match not in _MATCHES:
            causes.append(_not_supported(_MATCH, match, (*_MATCHES, "")))
        if match == "Exact" and text == "0":
            causes.append(_forbidden(_MATCH, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'))
    if "sendInitialEvents" in query:
        causes.append(_forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    _refuse(causes)
    revision, limit = parse_revision(query), _integer(query, "limit")
    token = decode_token(query["continue"]) if query.get("continue") else None
    if token and revision:
        raise errors.bad_request("specifying resource version is not allowed when using continue")
    # As upstream: the first page of a list at a revision is exactly that, as the others will be.
    is_exact = match == "Exact" or (not match and limit > 0 and bool(revision))
    return ListOptions(revision, is_exact, limit, token, None, False, 0)


def parse_watch(query: Mapping[str, str]) -> ListOptions:
    """The options of a watch. Raises StatusError Invalid, BadRequest."""
    match = query.get("resourceVersionMatch", "")
    initial = is_true(query["sendInitialEvents"]) if "sendInitialEvents" in query else None
    causes = []
    if initial is not None and match != "NotOlderThan":
        causes.append(_forbidden(_MATCH, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"))
    if match:
        if initial is None:
            why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            causes.append(_forbidden(_MATCH, why))
        if match != "NotOlderThan":
            causes.append(_not_supported(_MATCH, match, ("NotOlderThan",)))
        if query.get("continue"):
            causes.append(_forbidden(_MATCH, "resourceVersionMatch is forbidden when continue is provided"))
    _refuse(causes)
    bookmarks = "allowWatchBookmarks" in query and is_true(query["allowWatchBookmarks"])
    return ListOptions(parse_revision(query), False, 0, None, initial, bookmarks, _integer(query, "timeoutSeconds"))


def parse_revision(query: Mapping[str, str]) -> int | None:
    """resourceVersion; None if it is not given. Raises StatusError BadRequest."""
    text = query.get("resourceVersion", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        why = f'Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
        raise errors.bad_request(f"invalid resource version: resourceVersion: {why}")
    return int(text)


def decode_token(text: str) -> Token:
    """A continue parameter. Raises StatusError BadRequest."""
    try:
        padded = text + "=" * (-len(text) % 4)
        document = msgspec.json.decode(base64.b64decode(padded, altchars=b"-_", validate=True), type=_TokenDocument)
    except (binascii.Error, ValueError):
        raise _bad_token("illegal base64 or JSON") from None
    if document.v != _ENCODED_AS:
        raise _bad_token(f'server does not recognize this encoded version "{document.v}"')
    if not document.rv:
        raise _bad_token(f"incorrect encoded start resourceVersion (version {_ENCODED_AS})")
    if not document.start:
        raise _bad_token(f"encoded start key empty (version {_ENCODED_AS})")
    if any(step in ("", ".", "..") for step in document.start.split("/")):
        raise _bad_token(document.start)
    return Token(document.rv, document.start)


def is_true(text: str) -> bool:
    """A boolean of a query, as upstream: everything but `false` and `0`."""
    return text.lower() != "false" and text != "0"


_MATCH = "resourceVersionMatch"


class _TokenDocument(msgspec.Struct):
    v: str
    rv: int
    start: str


def _bad_token(why: str) -> StatusError:
    return errors.bad_request(f"invalid continue token: continue key is not valid: {why}")


def _integer(query: Mapping[str, str], name: str) -> int:
    text = query.get(name, "") or "0"
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        raise errors.bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    if len(digits) > 18:
        raise errors.bad_request(f'strconv.ParseInt: parsing "{text}": value out of range')
    return max(int(text), 0)


def _forbidden(field: str, why: str) -> Cause:
    return Cause("FieldValueForbidden", f"Forbidden: {why}", field)


def _not_supported(field: str, value: str, supported: tuple[str, ...]) -> Cause:
    names = ", ".join(f'"{each}"' for each in supported)
    return Cause("FieldValueNotSupported", f'Unsupported value: "{value}": supported values: {names}', field)


def _refuse(causes: list[Cause]) -> None:
    if causes:
        raise errors.invalid("ListOptions", "meta.k8s.io", "", causes)
