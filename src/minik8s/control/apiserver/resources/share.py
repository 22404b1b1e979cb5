"""A share: a number of pods, or a percentage of them."""

import re

from minik8s.api.errors import Cause
from minik8s.control.apiserver.causes import invalid, not_negative

_PERCENT_WRONG = (
    "a valid percent string must be a numeric string followed by an ending '%' "
    "(e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"
)


def validate_share(share: int | str, path: str, *, limit: int | None = None) -> list[Cause]:
    """Causes for a share; `limit` is the highest percentage."""
    if isinstance(share, int):
        return not_negative(path, share)
    if not re.fullmatch("[0-9]+%", share, re.ASCII):
        return [invalid(path, share, _PERCENT_WRONG)]
    digits = share[:-1].lstrip("0")
    if limit is not None and (len(digits) > len(str(limit)) or int(digits or "0") > limit):
        return [invalid(path, share, f"must not be greater than {limit}%")]
    return []


def is_zero(share: int | str) -> bool:
    """Whether it is no pods at all."""
    return share == 0 or (isinstance(share, str) and re.fullmatch("0+%", share) is not None)
