"""Metrics of the apiserver, by kube-apiserver's names."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from minik8s.api.request import Request
from minik8s.control.apiserver.resource import Resource


class Metrics:
    """Counters on a registry of their own. Only what is served is a label: clients cannot make series."""

    def __init__(self, registry: CollectorRegistry, resources: Sequence[Resource]) -> None:
        self._served = {
            (each.group, each.plural, subresource) for each in resources for subresource in ("", *each.subresources)
        }
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
        place = (request.group, request.resource, request.subresource)
        group, resource, subresource = place if place in self._served else ("", "", "")
        self._total.labels(request.verb, group, resource, subresource, str(code)).inc()
        if seconds is not None:
            self._seconds.labels(request.verb, group, resource).observe(seconds)
