"""Metrics of the apiserver, by kube-apiserver's names."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from minik8s.api.request import Request


class Metrics:
    """Counters on a registry of their own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("verb", "group", "resource", "subresource", "code")
        self._total = Counter("apiserver_request_total", "Requests answered.", labels, registry=registry)
        self._seconds = Histogram(
            "apiserver_request_duration_seconds",
            "Time to answer, of what is no watch.",
            ("verb", "group", "resource"),
            registry=registry,
        )
        self.long_running = Gauge(
            "apiserver_longrunning_requests", "Open watches and log streams.", ("verb",), registry=registry
        )

    def answered(self, request: Request, code: int, seconds: float | None = None) -> None:
        """Count one answer; `seconds` is None of a watch."""
        self._total.labels(request.verb, request.group, request.resource, request.subresource, str(code)).inc()
        if seconds is not None:
            self._seconds.labels(request.verb, request.group, request.resource).observe(seconds)
