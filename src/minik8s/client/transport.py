"""How a client reaches an apiserver: two calls; transport_grpc, transport_rest and transport_local make them."""

from collections.abc import AsyncIterator
from typing import Protocol

from minik8s.api.request import Request, Response, WatchEvent


class WatchStream(Protocol):
    """One open watch. Ends quietly when the server ends it; raises StatusError when it fails."""

    def __aiter__(self) -> AsyncIterator[WatchEvent]: ...

    async def request_progress(self) -> None:
        """Ask for a BOOKMARK at the newest revision, now."""

    async def close(self) -> None:
        """End it; harmless when it has ended."""


class Transport(Protocol):
    """Carries Requests to an apiserver."""

    async def call(self, request: Request) -> Response:
        """One unary call. Raises StatusError; Timeout means the outcome is unknown."""

    async def watch(self, request: Request) -> WatchStream:
        """Open a watch. Raises StatusError if the server refuses it."""

    async def close(self) -> None:
        """Release connections."""
