"""The syntax of names, labels and annotations: predicates that say what is wrong in upstream's words.

As k8s.io/apimachinery/pkg/util/validation. Each returns the faults found, so that a caller can put them to its field.
"""

import re
from functools import lru_cache

LABEL_CHARS_MAX = 63
SUBDOMAIN_CHARS_MAX = 253
PORT_NAME_CHARS_MAX = 15

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_LABEL_1035 = r"[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = rf"({_QUALIFIED})?"
_CONFIG_KEY = r"[-._a-zA-Z0-9]+"

_LABEL_WRONG = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
    "and must start and end with an alphanumeric character"
)
_SUBDOMAIN_WRONG = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
    "and must start and end with an alphanumeric character"
)
_LABEL_1035_WRONG = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', "
    "start with an alphabetic character, and end with an alphanumeric character"
)
_QUALIFIED_WRONG = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
)
_LABEL_VALUE_WRONG = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character"
)
_CONFIG_KEY_WRONG = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"


def _matches(pattern: str, text: str) -> bool:
    """Whether all of a text matches. The same few names come again and again; long texts are nobody's names."""
    return _short_matches(pattern, text) if len(text) <= SUBDOMAIN_CHARS_MAX else _fully_matches(pattern, text)


def _fully_matches(pattern: str, text: str) -> bool:
    return re.fullmatch(pattern, text, re.ASCII) is not None


_short_matches = lru_cache(maxsize=4096)(_fully_matches)


def _too_long(chars_max: int) -> str:
    return f"must be no more than {chars_max} bytes"


def _regex_error(why: str, pattern: str, *examples: str) -> str:
    listed = " or ".join(f"'{example}', " for example in examples)
    return f"{why} (e.g. {listed}regex used for validation is '{pattern}')"


def dns_label_faults(text: str) -> list[str]:
    """Faults of a name that becomes one part of a DNS name: namespaces, containers."""
    faults = [_too_long(LABEL_CHARS_MAX)] if len(text) > LABEL_CHARS_MAX else []
    if not _matches(_LABEL, text):
        if _matches(_SUBDOMAIN, text):
            faults.append("must not contain dots")
        else:
            faults.append(_regex_error(_LABEL_WRONG, _LABEL, "my-name", "123-abc"))
    return faults


def dns_subdomain_faults(text: str) -> list[str]:
    """Faults of a name that may have dots: most objects."""
    faults = [_too_long(SUBDOMAIN_CHARS_MAX)] if len(text) > SUBDOMAIN_CHARS_MAX else []
    if not _matches(_SUBDOMAIN, text):
        faults.append(_regex_error(_SUBDOMAIN_WRONG, _SUBDOMAIN, "example.com"))
    return faults


def dns_1035_label_faults(text: str) -> list[str]:
    """Faults of a name that must start with a letter: services."""
    faults = [_too_long(LABEL_CHARS_MAX)] if len(text) > LABEL_CHARS_MAX else []
    if not _matches(_LABEL_1035, text):
        faults.append(_regex_error(_LABEL_1035_WRONG, _LABEL_1035, "my-name", "abc-123"))
    return faults


def label_key_faults(key: str) -> list[str]:
    """Faults of a qualified name: the key of a label, a finalizer, a taint."""
    prefix, slash, name = key.rpartition("/")
    if "/" in prefix:
        return [
            f"a qualified name {_regex_error(_QUALIFIED_WRONG, _QUALIFIED, 'MyName', 'my.name', '123-abc')} "
            "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        ]
    faults = []
    if slash and not prefix:
        faults.append("prefix part must be non-empty")
    elif slash:
        faults += [f"prefix part {fault}" for fault in dns_subdomain_faults(prefix)]
    if not name:
        faults.append("name part must be non-empty")
    elif len(name) > LABEL_CHARS_MAX:
        faults.append(f"name part {_too_long(LABEL_CHARS_MAX)}")
    if not _matches(_QUALIFIED, name):
        faults.append(f"name part {_regex_error(_QUALIFIED_WRONG, _QUALIFIED, 'MyName', 'my.name', '123-abc')}")
    return faults


def label_value_faults(value: str) -> list[str]:
    """Faults of the value of a label."""
    faults = [_too_long(LABEL_CHARS_MAX)] if len(value) > LABEL_CHARS_MAX else []
    if not _matches(_LABEL_VALUE, value):
        faults.append(_regex_error(_LABEL_VALUE_WRONG, _LABEL_VALUE, "MyValue", "my_value", "12345"))
    return faults


def config_key_faults(key: str) -> list[str]:
    """Faults of a key of a ConfigMap or a Secret, which becomes the name of a file."""
    faults = [_too_long(SUBDOMAIN_CHARS_MAX)] if len(key) > SUBDOMAIN_CHARS_MAX else []
    if not _matches(_CONFIG_KEY, key):
        faults.append(_regex_error(_CONFIG_KEY_WRONG, _CONFIG_KEY, "key.name", "KEY_NAME", "key-name"))
    if key == ".":
        faults.append("must not be '.'")
    elif key == "..":
        faults.append("must not be '..'")
    elif key.startswith(".."):
        faults.append("must not start with '..'")
    return faults


def env_name_faults(name: str) -> list[str]:
    """Faults of the name of an environment variable."""
    if name and all(" " <= char <= "~" and char != "=" for char in name):
        return []
    return ["a valid environment variable name must consist only of printable ASCII characters other than '='"]


def port_name_faults(name: str) -> list[str]:
    """Faults of the name of a port (an IANA service name)."""
    faults = []
    if len(name) > PORT_NAME_CHARS_MAX:
        faults.append(f"must be no more than {PORT_NAME_CHARS_MAX} characters")
    if not _matches(r"[-a-z0-9]+", name):
        faults.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", name):
        faults.append("must contain at least one letter (a-z)")
    if "--" in name:
        faults.append("must not contain consecutive hyphens")
    if name.startswith("-") or name.endswith("-"):
        faults.append("must not begin or end with a hyphen")
    return faults
