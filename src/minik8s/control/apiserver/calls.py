"""What both faces do around every call: admit it or not, bound its time, measure it, and tell the audit log.

Called by `http` and `grpc`, which hand in who calls what, and get a Call to say how it ended. Limits: requests in
flight (`inflight`: 429), time (`request_timeout_s`: 504), the audit log's queue (calls wait). Long requests (watches,
logs, exec and the like) have neither limit; they are ended when the server shuts down.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field

from minik8s.api import errors
from minik8s.api.errors import StatusError
from minik8s.api.request import Request
from minik8s.control.apiserver.audit.event import Origin
from minik8s.control.apiserver.audit.log import AuditLog, Trail
from minik8s.control.apiserver.authz.attributes import Attributes
from minik8s.control.apiserver.inflight import InFlight, InFlightConfig
from minik8s.control.apiserver.metrics import Metrics
from minik8s.kit.clock import Clock

LONG_SUBRESOURCES = frozenset({"log", "exec", "attach", "portforward", "proxy"})
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:h|ms|us|µs|ns|m|s))+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(h|ms|us|µs|ns|m|s)")
_UNIT_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


@dataclass(frozen=True, slots=True)
class CallsConfig:
    """Limits of calls. The defaults are kube-apiserver's."""

    in_flight: InFlightConfig = field(default_factory=InFlightConfig)
    request_timeout_s: float = 60.0


class Call:
    """One call while it is worked on; the face says what it learns of it."""

    def __init__(self, request: Request | None, trail: Trail | None) -> None:
        self.request = request
        self.code = 200
        # What is to be said of it in the audit log: by authorization and admission, through the request.
        self.annotations: dict[str, str] = request.annotations if request else {}
        if trail:
            trail.annotations = self.annotations
        self._trail = trail

    def received(self, request: Request) -> None:
        """The request has its body now."""
        self.request = request
        if self._trail and self._trail.wants_request:
            self._trail.request_body, self._trail.content_type = request.body, request.content_type

    def answered(self, code: int, body: bytes = b"") -> None:
        """How it ended."""
        self.code = code
        if self._trail and self._trail.wants_response:
            self._trail.response_body = body

    def failed(self, error: StatusError) -> None:
        """How it ended badly."""
        self.code = error.code
        if self._trail:
            self._trail.status = error.status()


class Calls:
    """The calls of one apiserver."""

    def __init__(self, config: CallsConfig, metrics: Metrics, *, clock: Clock, audit: AuditLog | None = None) -> None:
        self.in_flight = InFlight(config.in_flight)
        self.is_draining = False
        self.long_running = 0
        self._ended = asyncio.Event()
        self._config = config
        self.metrics = metrics
        self._audit = audit
        self._clock = clock

    @contextlib.asynccontextmanager
    async def serving(
        self, attributes: Attributes, request: Request | None, origin: Origin, audit_id: str
    ) -> AsyncIterator[Call]:
        """Work on a call within the block. Raises StatusError: what the block raises, TooManyRequests, Timeout."""
        trail = None
        if self._audit:
            await self._audit.room()
            trail = self._audit.begin(attributes, origin, audit_id)
        call = Call(request, trail)
        is_long = is_long_running(request)
        started_s = self._clock.monotonic_s()
        self._note(trail, "RequestReceived")
        try:
            if is_long:
                assert request
                with self._long(request):
                    self._note(trail, "ResponseStarted", 200)
                    yield call
            else:
                with self._admitted(attributes, request):
                    async with self._timed(request):
                        yield call
        except StatusError as error:
            call.failed(error)
            raise
        except asyncio.CancelledError:
            call.code = 499  # As everywhere else: the client left.
            raise
        except BaseException:
            call.code = 500
            raise
        finally:
            seconds = None if is_long else self._clock.monotonic_s() - started_s
            self.metrics.answered(call.request, call.code, seconds)
            self._note(trail, "ResponseComplete", call.code)
            self._ended.set()

    async def wait_until(self, is_so: Callable[[], bool], timeout_s: float) -> None:
        """Wait for something that can become true when a call ends; not for ever."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not is_so():
                    self._ended.clear()
                    await self._ended.wait()

    def refused(self, attributes: Attributes, origin: Origin, audit_id: str, error: StatusError) -> None:
        """Tell the audit log of a call whose caller is not known."""
        trail = self._audit.begin(attributes, origin, audit_id) if self._audit else None
        if trail:
            trail.status = error.status()
            self._note(trail, "ResponseComplete", error.code)

    def _note(self, trail: Trail | None, stage: str, code: int = 0) -> None:
        if trail:
            assert self._audit
            self._audit.note(trail, stage, code)

    @contextlib.contextmanager
    def _long(self, request: Request) -> Iterator[None]:
        if self.is_draining:
            raise shutting_down()
        self.long_running += 1
        try:
            with self.metrics.long_running(request).track_inprogress():
                yield
        finally:
            self.long_running -= 1

    @contextlib.contextmanager
    def _admitted(self, attributes: Attributes, request: Request | None) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(self.in_flight.admitted(attributes.user, attributes.verb))
            except StatusError as error:
                self.metrics.terminated(request, error.code)
                raise
            yield

    @contextlib.asynccontextmanager
    async def _timed(self, request: Request | None) -> AsyncIterator[None]:
        limit_s = self._config.request_timeout_s
        if request and (asked := request.query.get("timeout")):
            limit_s = min(limit_s, parse_timeout(asked) or limit_s)
        try:
            async with asyncio.timeout(limit_s) as timer:
                yield
        except TimeoutError:
            if not timer.expired():
                raise
            self.metrics.terminated(request, 504)
            why = "request did not complete within requested timeout - context deadline exceeded"
            raise errors.timeout(f"Timeout: {why}", retry_after_s=0) from None


def is_long_running(request: Request | None) -> bool:
    """Whether a request lasts for as long as its client likes."""
    return request is not None and (request.verb == "watch" or request.subresource in LONG_SUBRESOURCES)


def shutting_down() -> StatusError:
    """503: another apiserver will do it."""
    return errors.service_unavailable("The apiserver is shutting down, please try again later.")


def parse_timeout(text: str) -> float:
    """Seconds of a Go duration such as `30s` or `1m30s`. Raises StatusError BadRequest."""
    if text in ("0", ""):
        return 0.0
    if not _DURATION.fullmatch(text):
        raise errors.bad_request(f'invalid timeout specified in the request URL - time: invalid duration "{text}"')
    return sum(float(number) * _UNIT_S[unit] for number, unit in _DURATION_PART.findall(text))
