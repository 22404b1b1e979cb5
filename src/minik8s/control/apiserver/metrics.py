"""Metrics of the apiserver, by kube-apiserver's names, so that stock dashboards and alerts work."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from minik8s.api.request import APPLY_PATCH, Request

_PLACE = ("verb", "dry_run", "group", "version", "resource", "subresource", "scope", "component")
_SECONDS = (0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60)
_STORE_SECONDS = (0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60)
_VERBS = {"create": "POST", "update": "PUT", "deletecollection": "DELETECOLLECTION"}

Serves = Callable[[Request], bool]


class Metrics:
    """Series on a registry of their own. Only what is served is a label: clients cannot make series."""

    def __init__(self, registry: CollectorRegistry, serves: Serves) -> None:
        self._serves = serves
        self._total = Counter("apiserver_request_total", "Requests answered.", (*_PLACE, "code"), registry=registry)
        self._seconds = Histogram(
            "apiserver_request_duration_seconds",
            "Time to answer, of what ends by itself.",
            _PLACE,
            buckets=_SECONDS,
            registry=registry,
        )
        # Finding a series by its labels costs as much as all the rest; there are few.
        self._totals: dict[tuple[tuple[str, ...], int], Counter] = {}
        self._timers: dict[tuple[str, ...], Histogram] = {}
        self._long_running = Gauge(
            "apiserver_longrunning_requests",
            "Open watches, logs and the like.",
            tuple(name for name in _PLACE if name != "dry_run"),
            registry=registry,
        )
        self.rejected = Counter(
            "apiserver_request_terminations_total",
            "Requests ended by the server itself: too many, or too long.",
            (*(name for name in _PLACE if name != "dry_run"), "code"),
            registry=registry,
        )
        self.watch_events = Counter(
            "apiserver_watch_events_total",
            "Events sent to watches.",
            ("group", "version", "resource"),
            registry=registry,
        )
        self.store_seconds = Histogram(
            "etcd_request_duration_seconds",
            "Time the store took.",
            ("operation", "type"),
            buckets=_STORE_SECONDS,
            registry=registry,
        )
        self.store_errors = Counter(
            "etcd_request_errors_total", "Failed calls of the store.", ("operation", "type"), registry=registry
        )

    def answered(self, request: Request | None, code: int, seconds: float | None = None) -> None:
        """Count one answer; None is a path that is no resource's. `seconds` is None of a watch and the like."""
        place = self._place(request)
        total = self._totals.get((place, code))
        if total is None:
            total = self._totals[place, code] = self._total.labels(*place, str(code))
        total.inc()
        if seconds is not None:
            timer = self._timers.get(place)
            if timer is None:
                timer = self._timers[place] = self._seconds.labels(*place)
            timer.observe(seconds)

    def terminated(self, request: Request | None, code: int) -> None:
        """Count a request that the server would not work on, or no longer."""
        verb, _, *rest = self._place(request)
        self.rejected.labels(verb, *rest, str(code)).inc()

    def long_running(self, request: Request) -> Gauge:
        """The gauge of requests such as this."""
        verb, _, *rest = self._place(request)
        return self._long_running.labels(verb, *rest)

    def _place(self, request: Request | None) -> tuple[str, ...]:
        if request is None:
            return ("GET", "", "", "", "", "", "", "apiserver")
        verb = _VERBS.get(request.verb) or request.verb.upper()
        if request.verb == "patch" and request.content_type.startswith(APPLY_PATCH.partition("+")[0]):
            verb = "APPLY"
        dry_run = "All" if request.query.get("dryRun") == "All" else ""
        if not self._serves(request):
            return (verb, dry_run, "", "", "", "", "", "apiserver")
        scope = "resource" if request.name else ("namespace" if request.namespace else "cluster")
        place = (request.group, request.version, request.resource, request.subresource, scope)
        return (verb, dry_run, *place, "apiserver")


class Counts(Collector):
    """A gauge whose values are asked for when somebody reads it."""

    def __init__(self, name: str, text: str, label: str, counts: Callable[[], Mapping[str, int]]) -> None:
        self._name, self._text, self._label, self._counts = name, text, label, counts

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(self._name, self._text, labels=[self._label])
        for name, count in self._counts().items():
            family.add_metric([name], count)
        yield family

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that registering asks for no values."""
        return ()
