"""What the server counts, as Prometheus reads it: requests, work, what waits, the process."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from space_app import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client.metrics_core import Metric

    from space_app.core.manifest import Manifest
    from space_app.core.scheduler import Step
    from space_app.core.service import State
    from space_app.core.types import Embeddings
    from space_app.exchange import Exchange

# When each series began: a line more for every counter, which Prometheus makes nothing of.
disable_created_metrics()  # type: ignore[no-untyped-call]

_PREFIX = "embedding"
_SECONDS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
_TOKENS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
_TEXTS = (1, 2, 4, 8, 16, 32, 64, 128)
_FILL = (0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)


class Metrics:
    """Counts into a registry of its own. Any thread may tell it; it is the core's observer too.

    Labels take values that are known before any request: routes, methods, statuses, names of keys.
    """

    def __init__(self, manifest: Manifest):
        self._registry = CollectorRegistry()
        self._build(manifest)
        self._http()
        self._work()
        self._steps()
        # To look a series up by its labels costs more than to count.
        self._of = cache(self._series)
        ProcessCollector(registry=self._registry)

    def _build(self, manifest: Manifest) -> None:
        described = {
            "model": manifest.model,
            "revision": manifest.revision or "",
            "fingerprint": manifest.fingerprint,
            "backend": manifest.backend,
            "precision": manifest.precision,
            "version": __version__,
        }
        info = self._gauge("build_info", "What is served; always 1.", *described)
        info.labels(**described).set(1)

    def _http(self) -> None:
        self._requests = self._counter(
            "http_requests",
            "Requests that were answered, by the route's path (other: none), method, status "
            "(499: the client left) and the name of the key.",
            *("route", "method", "status", "key"),
        )
        self._durations = self._histogram(
            "http_request_duration_seconds",
            "From the request's head to the reply's end.",
            _SECONDS,
            "route",
        )
        self._in_flight = self._gauge("http_requests_in_flight", "Requests being answered now.")
        self._held = self._gauge(
            "http_held_bytes", "Memory of requests being received and answered; see docs/api.md."
        )

    def _work(self) -> None:
        self._texts = self._counter("texts", "Texts that were embedded.")
        self._tokens = self._counter("tokens", "Tokens that were read of them.")
        self._truncated = self._counter(
            "truncated_texts", "Texts that were longer than the model reads."
        )
        self._refused = self._counter(
            "overloaded_requests",
            "Requests refused with 429: they would not have been answered in time.",
        )
        self._invalid = self._counter(
            "invalid_vector_requests",
            "Requests answered with 500: the model's vector of a text was not finite or not of "
            "length 1.",
        )
        self._tokenising = self._histogram(
            "tokenise_seconds", "Of a request: reading its texts.", _SECONDS
        )
        self._waiting = self._histogram(
            "queue_seconds", "Of a request: waiting until computing began.", _SECONDS
        )
        self._computing = self._histogram(
            "compute_seconds", "Of a request: the steps that its texts were in.", _SECONDS
        )

    def _steps(self) -> None:
        self._step_seconds = self._histogram(
            "step_seconds", "Of a step, in which texts are computed together.", _SECONDS
        )
        self._step_tokens = self._histogram("step_tokens", "Tokens in a step.", _TOKENS)
        self._step_texts = self._histogram("step_texts", "Texts in a step.", _TEXTS)
        self._step_fill = self._histogram(
            "step_fill_ratio", "Tokens in a step, of those that it has room for.", _FILL
        )

    def watch(self, state: Callable[[], State]) -> None:
        """Tell of this service's queue and cache too, as they are when somebody looks."""
        self._registry.register(_Watched(state))

    def watch_memory(self, held: Callable[[], int]) -> None:
        """Tell of what requests hold of the budget."""
        self._held.set_function(held)

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """All of it, in the format that an Accept header asks for, and its content type."""
        if "application/openmetrics-text" in accept:
            written: bytes = openmetrics.generate_latest(self._registry)  # type: ignore[no-untyped-call]
            return written, openmetrics.CONTENT_TYPE_LATEST
        return generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4

    def families(self) -> Iterator[Metric]:
        """All of it, one object a metric."""
        return iter(self._registry.collect())

    def begun(self) -> None:
        """A request is here."""
        self._in_flight.inc()

    def ended(self, exchange: Exchange) -> None:
        """A request is over."""
        self._in_flight.dec()
        counter, durations = self._of(
            exchange.route, exchange.method, exchange.status, exchange.key
        )
        counter.inc()
        durations.observe(exchange.seconds)

    def _series(self, route: str, method: str, status: int, key: str) -> tuple[Counter, Histogram]:
        return self._requests.labels(route, method, str(status), key), self._durations.labels(route)

    def answered(self, embeddings: Embeddings) -> None:
        """As Observer.answered."""
        self._texts.inc(len(embeddings.tokens))
        self._tokens.inc(sum(embeddings.tokens))
        self._truncated.inc(sum(embeddings.truncated))
        self._tokenising.observe(embeddings.timing.tokenise)
        self._waiting.observe(embeddings.timing.queue)
        self._computing.observe(embeddings.timing.compute)

    def overloaded(self) -> None:
        """As Observer.overloaded."""
        self._refused.inc()

    def invalid(self) -> None:
        """As Observer.invalid."""
        self._invalid.inc()

    def computed(self, step: Step, seconds: float) -> None:
        """As Observer.computed."""
        tokens = [item.tokens for item in step.items]
        self._step_seconds.observe(seconds)
        self._step_tokens.observe(sum(tokens))
        self._step_texts.observe(len(tokens))
        self._step_fill.observe(sum(tokens) / step.shape.tokens)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(name, meaning, labels, namespace=_PREFIX, registry=self._registry)

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(name, meaning, labels, namespace=_PREFIX, registry=self._registry)

    def _histogram(
        self, name: str, meaning: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(
            name, meaning, labels, namespace=_PREFIX, registry=self._registry, buckets=buckets
        )


class _Watched(Collector):
    """What a service knows of itself, read when it is asked for."""

    def __init__(self, state: Callable[[], State]):
        self._state = state

    def collect(self) -> Iterator[Metric]:
        """Called by the registry."""
        state = self._state()
        load, cache = state.load, state.cache
        yield _now("warm", "1 once a step of every shape was computed.", state.warm)
        yield _now("queue_texts", "Texts that wait to be computed.", load.texts)
        yield _now("queue_tokens", "Their tokens, guessed for those not read yet.", load.tokens)
        yield _now("queue_expected_seconds", "Until all of them are computed.", load.seconds)
        yield _since("cache_hits", "Texts whose vector was remembered.", cache.hits)
        yield _since("cache_misses", "Texts whose vector was not.", cache.misses)
        yield _now("cache_entries", "Vectors that are remembered.", cache.entries)
        yield _now("cache_bytes", "Memory that they take.", cache.bytes)
        yield _now("cache_max_bytes", "Memory that they may take; 0: no cache.", cache.max_bytes)

    def describe(self) -> tuple[Metric, ...]:
        """Called by the registry, which would otherwise ask a service that may not be there yet."""
        return ()


def _now(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{_PREFIX}_{name}", meaning, value=float(value))


def _since(name: str, meaning: str, value: float) -> Metric:
    return CounterMetricFamily(f"{_PREFIX}_{name}", meaning, value=float(value))
