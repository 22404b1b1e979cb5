"""The syntax of a CronJob's schedule: five fields as cron knows them, or a name for them. Pure."""

import re

_NAMES = frozenset({"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"})
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
# (lowest, highest, names for numbers from the lowest on) of minute, hour, day of month, month, day of week.
_FIELDS: tuple[tuple[int, int, list[str]], ...] = (
    (0, 59, []),
    (0, 23, []),
    (1, 31, []),
    (1, 12, _MONTHS),
    (0, 6, _DAYS),
)
_EVERY = re.compile(r"@every ([0-9]+(\.[0-9]*)?(h|m|s|ms|us|ns))+", re.ASCII)


def schedule_fault(text: str) -> str:
    """What is wrong with a schedule; empty if nothing is."""
    if text.startswith("@"):
        return "" if text in _NAMES or _EVERY.fullmatch(text) else f"unrecognized descriptor: {text}"
    fields = text.split()
    if len(fields) != len(_FIELDS):
        return f"expected exactly 5 fields, found {len(fields)}: [{' '.join(fields)}]"
    for field, (low, high, names) in zip(fields, _FIELDS, strict=True):
        for item in field.split(","):
            if fault := _item_fault(item, low, high, names):
                return fault
    return ""


def _item_fault(item: str, low: int, high: int, names: list[str]) -> str:
    """Of `*`, `?`, `5`, `1-5`, `mon-fri`, each with or without `/step`."""
    span, slash, step = item.partition("/")
    if slash and (not _is_number(step) or int(step) == 0):
        return (
            f"failed to parse int from {step}"
            if not _is_number(step)
            else f"step of range should be a positive number: {item}"
        )
    if span in ("*", "?"):
        return ""
    bounds = []
    for word in span.split("-"):
        number = _number(word, low, names)
        if number is None:
            return f"failed to parse int from {word}"
        bounds.append(number)
    if len(bounds) > 2:
        return f"too many hyphens: {item}"
    if bounds[0] < low:
        return f"beginning of range ({bounds[0]}) below minimum ({low}): {item}"
    if bounds[-1] > high:
        return f"end of range ({bounds[-1]}) above maximum ({high}): {item}"
    if bounds[0] > bounds[-1]:
        return f"beginning of range ({bounds[0]}) beyond end of range ({bounds[-1]}): {item}"
    return ""


def _number(word: str, low: int, names: list[str]) -> int | None:
    if word.lower() in names:
        return names.index(word.lower()) + low
    return int(word) if _is_number(word) else None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10
