"""Metrics of webhooks, by kube-apiserver's names."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 10.0, 25.0)


@dataclass(frozen=True, slots=True)
class HookCall:
    """How one call of a webhook went."""

    type: str  # "admit" or "validating"
    name: str
    operation: str
    seconds: float
    code: int  # of the refusal; 200 if there was none
    is_failed: bool  # no answer that could be used
    is_forgiven: bool  # and the request goes on

    @property
    def is_rejected(self) -> bool:
        """Whether the request was refused."""
        return self.code != 200


class HookMetrics:
    """Series on the registry of an apiserver. Names of webhooks are labels: administrators make them, not clients."""

    def __init__(self, registry: CollectorRegistry) -> None:
        prefix, place = "apiserver_admission_webhook", ("name", "type", "operation")
        self._seconds = Histogram(
            f"{prefix}_admission_duration_seconds",
            "Time a webhook took.",
            (*place, "rejected"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._total = Counter(
            f"{prefix}_request_total", "Calls of webhooks.", (*place, "code", "rejected"), registry=registry
        )
        # Counters by nature; as such prometheus_client would add _total to upstream's names.
        self._rejected = Gauge(
            f"{prefix}_rejection_count",
            "Requests refused by webhooks, or for want of their answer.",
            (*place, "error_type", "rejection_code"),
            registry=registry,
        )
        self._forgiven = Gauge(
            f"{prefix}_fail_open_count", "Failures that were passed over.", ("name", "type"), registry=registry
        )

    def called(self, call: HookCall) -> None:
        """Count one call."""
        place, rejected = (call.name, call.type, call.operation), str(call.is_rejected).lower()
        self._seconds.labels(*place, rejected).observe(call.seconds)
        self._total.labels(*place, str(call.code), rejected).inc()
        if call.is_forgiven:
            self._forgiven.labels(call.name, call.type).inc()
        if call.is_rejected:
            kind = "calling_webhook_error" if call.is_failed else "no_error"
            self._rejected.labels(*place, kind, "0" if call.is_failed else str(call.code)).inc()
