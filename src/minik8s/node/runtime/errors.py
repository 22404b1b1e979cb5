"""What goes wrong in the runtime, as CRI's callers are told: a gRPC code and a sentence. server.py maps it."""


class RuntimeFault(Exception):
    """A call the runtime refuses or cannot carry out; `code` is the name of a gRPC status code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def not_found(what: str, identifier: str) -> RuntimeFault:
    """No such sandbox or container: callers take it for "already gone"."""
    return RuntimeFault("NOT_FOUND", f'{what} "{identifier}" not found')


def invalid(message: str) -> RuntimeFault:
    """A request that can never succeed as it stands."""
    return RuntimeFault("INVALID_ARGUMENT", message)


def not_now(message: str) -> RuntimeFault:
    """A request that the present state does not allow."""
    return RuntimeFault("FAILED_PRECONDITION", message)


def failed(message: str) -> RuntimeFault:
    """The host or the program failed."""
    return RuntimeFault("UNKNOWN", message)


def unimplemented(message: str) -> RuntimeFault:
    """A part of CRI this runtime does not have."""
    return RuntimeFault("UNIMPLEMENTED", message)
