"""Regular expressions of schemas, as Go understands them: RE2, whose time is linear whatever the expression."""

from functools import lru_cache
from typing import Any

import re2

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> Any:
    """The expression, to `search` with. Raises ValueError if it is none."""
    try:
        return re2.compile(pattern, options=_OPTIONS)
    except re2.error as error:
        raise ValueError(str(error)) from None
