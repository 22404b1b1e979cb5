"""`$(NAME)` in commands, arguments and variables, exactly as Kubernetes expands it. Pure."""

from collections.abc import Mapping


def expand(text: str, variables: Mapping[str, str]) -> str:
    """`$(NAME)` becomes the variable's value, or stays as it is if there is none; `$$` becomes `$`."""
    out = []
    at = 0
    while at < len(text):
        char = text[at]
        following = text[at + 1 : at + 2]
        if char != "$" or following not in ("$", "("):
            out.append(char)
            at += 1
        elif following == "$":
            out.append("$")
            at += 2
        else:
            end = text.find(")", at)
            if end < 0:
                out.append("$(")
                at += 2
                continue
            name = text[at + 2 : end]
            out.append(variables.get(name, text[at : end + 1]))
            at = end + 1
    return "".join(out)
