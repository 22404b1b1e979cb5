"""Pings, as gRPC's servers treat them: ask a silent client whether it lives; bear no flood of its own."""

import asyncio
from collections.abc import Callable

from minik8s.kit.rpc import frames
from minik8s.kit.rpc.frames import ConnectionFault, ErrorCode
from minik8s.kit.rpc.limits import Limits
from minik8s.kit.rpc.outlet import Outlet

_STRIKES_MAX = 2


class KeepAlive:
    """Of one connection; `abort` closes it."""

    def __init__(self, limits: Limits, outlet: Outlet, abort: Callable[[], None]) -> None:
        self.has_heard = False
        """Whether anything came since the last look."""
        self._limits = limits
        self._outlet = outlet
        self._abort = abort
        self._loop = asyncio.get_running_loop()
        self._pinged_s = float("-inf")
        self._timer = self._loop.call_later(limits.preface_timeout_s, abort)

    def begin(self) -> None:
        """The client speaks HTTP/2: from now on silence alone is suspicious."""
        self._timer.cancel()
        self.has_heard = False
        self._timer = self._loop.call_later(self._limits.keepalive_s, self._ask)

    def end(self) -> None:
        """The connection is gone."""
        self._timer.cancel()

    def on_ping(self) -> None:
        """The client asks. Raises ConnectionFault if it does nothing else."""
        now_s = self._loop.time()
        if now_s - self._pinged_s < self._limits.ping_interval_min_s:
            self._outlet.strikes += 1
            if self._outlet.strikes > _STRIKES_MAX:
                raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "too_many_pings")
        self._pinged_s = now_s

    def _ask(self) -> None:
        if self.has_heard:
            self.begin()
            return
        self._outlet.send(frames.frame(frames.PING, 0, 0, b"minik8s!"))
        self._timer = self._loop.call_later(self._limits.keepalive_timeout_s, self._judge)

    def _judge(self) -> None:
        if self.has_heard:
            self.begin()
        else:
            self._abort()
