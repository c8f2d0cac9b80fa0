"""The gateway's own figures for Prometheus. Labels are routes, never addresses, tenants or ids."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """All figures of the process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "wireguard_gateway_requests",
            "Requests by route, method and status.",
            ["route", "method", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "wireguard_gateway_request_seconds",
            "How long answers took.",
            ["route", "method"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._reviews = Counter(
            "wireguard_gateway_reviews",
            "Questions who a caller is (token) and what they may do (access): remembered, or asked of the API server.",
            ["review", "source"],
            registry=self.registry,
        )
        self._limited = Counter(
            "wireguard_gateway_limited", "Requests that were refused as too many.", registry=self.registry
        )
        self._objects = Gauge(
            "wireguard_gateway_cached_objects", "Objects in the watch cache.", ["kind"], registry=self.registry
        )
        self._api = Counter(
            "wireguard_gateway_api_requests",
            "Requests to the API server by verb, resource and status; status 0: no answer.",
            ["verb", "resource", "status"],
            registry=self.registry,
        )

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route, method).observe(seconds)

    def review(self, review: str, remembered: bool) -> None:
        """A review was needed; ``review`` is token or access."""
        self._reviews.labels(review, "cache" if remembered else "apiserver").inc()

    def limited(self) -> None:
        """A request was refused as one too many."""
        self._limited.inc()

    def cached(self, kind: str, number: int) -> None:
        """How many objects of a kind the cache holds."""
        self._objects.labels(kind).set(number)

    def api_request(self, verb: str, resource: str, status: int, seconds: float) -> None:
        """The client asked the API server."""
        self._api.labels(verb, resource, str(status)).inc()
