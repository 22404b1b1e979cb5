"""Expressions as words: names, literals, operators. Pure; called by `syntax`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from minik8s.control.apiserver.cel.errors import CelError, located
from minik8s.control.apiserver.cel.values import UINT_MAX, UInt

END = "end"

_WORD = re.compile(
    r"""
    (?P<skip>\s+|//[^\n]*)
  | (?P<text>(?:[bB][rR]?|[rR][bB]?)?(?=["']))
  | (?P<double>\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?)
  | (?P<uint>0x[0-9a-fA-F]+[uU]|\d+[uU])
  | (?P<int>0x[0-9a-fA-F]+|\d+)
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | `(?P<quoted>[A-Za-z0-9_.\-/ ]+)`
  | (?P<sign>==|!=|<=|>=|&&|\|\||[-+*/%<>!?:.,()\[\]{}])
    """,
    re.VERBOSE | re.ASCII,
)
_QUOTE = re.compile(r'"""|' + r"'''|[\"']")
_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\?\"'`])|[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2}))"
)
_PLAIN = re.compile(r"[^\\\"'\r\n]+")
_SIMPLE = dict(zip("abfnrtv\\?\"'`", "\a\b\f\n\r\t\v\\?\"'`", strict=True))
_WORDS = {"true": True, "false": False, "null": None, "in": None}
_DIGITS_MAX = 400


@dataclass(frozen=True, slots=True)
class Token:
    """A word: `kind` is name, quoted, int, uint, double, string, bytes, end, a keyword or the sign itself."""

    kind: str
    text: str
    position: int
    value: Any = None


def tokens(source: str) -> Iterator[Token]:
    """The words of an expression, ended by END. Raises CelError."""
    at = 0
    while at < len(source):
        found = _WORD.match(source, at)
        if found is None:
            raise located(source, at, f"Syntax error: token recognition error at: '{source[at]}'")
        kind, text, start = str(found.lastgroup), found[0], at
        if kind == "text":
            token, at = _string(source, start, found.end())
            yield token
            continue
        at = found.end()
        if kind == "skip":
            continue
        if kind == "sign" or text in _WORDS:
            yield Token(text, text, start, _WORDS.get(text))
        elif kind == "name":
            yield Token(kind, text, start, text)
        elif kind == "quoted":
            yield Token(kind, text, start, found[kind])
        else:
            yield Token(kind, text, start, _number(source, kind, text, start))
    yield Token(END, "<EOF>", len(source))


def _number(source: str, kind: str, text: str, start: int) -> int | float:
    if len(text) > _DIGITS_MAX:
        raise located(source, start, f"Syntax error: invalid {kind} literal")
    if kind == "double":
        return float(text)
    digits = text.rstrip("uU")
    number = int(digits, 16) if digits.startswith("0x") else int(digits)
    if kind == "int":
        return number  # Its range depends on the sign before it.
    if number > UINT_MAX:
        raise located(source, start, "Syntax error: invalid uint literal")
    return UInt(number)


def _string(source: str, start: int, at: int) -> tuple[Token, int]:
    """A string or bytes, whose quote is at `at`."""
    prefix = source[start:at].lower()
    quote = _QUOTE.match(source, at)
    assert quote
    at = begin = quote.end()
    parts: list[str] = []
    while not source.startswith(quote[0], at):
        if at >= len(source) or (len(quote[0]) == 1 and source[at] in "\r\n"):
            raise located(source, start, f"Syntax error: token recognition error at: '{source[start:at][:40]}'")
        if source[at] == "\\" and "r" not in prefix:
            try:
                part, at = _escape(source, at)
            except ValueError:
                raise located(source, at, "Syntax error: token recognition error at: invalid escape") from None
            parts.append(part)
        elif source[at] == "\\":
            parts.append(source[at : at + 2])
            at += 2
        else:
            run = _PLAIN.match(source, at)
            stop = run.end() if run else at + 1
            parts.append(source[at:stop])
            at = stop
    text, end = "".join(parts), at + len(quote[0])
    if "b" not in prefix:
        return Token("string", source[start:end], start, text), end
    return Token("bytes", source[start:end], start, _bytes(source[begin:at], text, "r" in prefix)), end


def _escape(source: str, at: int) -> tuple[str, int]:
    found = _ESCAPE.match(source, at)
    if found is None:
        raise ValueError("unknown escape")
    simple, *numbers, octal = found.groups()
    if simple:
        return _SIMPLE[simple], found.end()
    code = int(octal, 8) if octal else int(next(filter(None, numbers)), 16)
    if 0xD800 <= code < 0xE000:
        raise ValueError("surrogate")
    return chr(code), found.end()  # ValueError of what is beyond Unicode


def _bytes(raw: str, text: str, is_raw: bool) -> bytes:
    """In bytes, \\x and octal escapes are bytes, not characters."""
    if is_raw or "\\" not in raw:
        return text.encode(errors="surrogatepass")
    parts, at = [], 0
    while at < len(raw):
        if raw[at] != "\\":
            parts.append(raw[at].encode(errors="surrogatepass"))
            at += 1
            continue
        part, end = _escape(raw, at)
        parts.append(bytes([ord(part)]) if ord(part) < 256 and raw[at + 1] in "xX0123" else part.encode())
        at = end
    return b"".join(parts)


__all__ = ["END", "CelError", "Token", "tokens"]
