"""What one client may do, and how long a silent one is believed to live."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one connection. Beyond them a call is refused, or the connection closed with the reason."""

    message_bytes_max: int = 4 << 20
    calls_max: int = 65_536  # at once
    held_bytes_max: int = 256 << 20  # of requests that are not whole yet
    unsent_bytes_max: int = 64 << 20  # with that much on its way, a client that asks for more is cut off
    window_bytes: int = 1 << 20  # a client may send that much of one call ahead
    preface_timeout_s: float = 20.0  # to say that one speaks HTTP/2
    ping_interval_min_s: float = 5.0  # of a client's pings while no call is answered; the third sooner is a flood
    keepalive_s: float = 7200.0  # after which a silent client is asked whether it lives
    keepalive_timeout_s: float = 20.0  # to answer that
