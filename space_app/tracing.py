"""OpenTelemetry traces, sent by OTLP over HTTP where the standard variables ask for them.

The SDK reads its own variables: where to, with which headers, how many. It is imported only here,
and only then.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from opentelemetry import propagate
from opentelemetry.trace import (
    SpanKind,
    Status,
    StatusCode,
    format_trace_id,
    set_span_in_context,
)

from space_app import __version__
from space_app.log import describe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

    from space_app.core.manifest import Manifest
    from space_app.exchange import Exchange

    Headers = Iterable[tuple[bytes, bytes]]

_SERVICE = "embedding-space"
_SPOKEN = "http/protobuf"
_GOODBYE_SECONDS = 5.0
_SERVER_ERROR = 500
_log = logging.getLogger("space_app")


def start(manifest: Manifest, protocol: str = _SPOKEN) -> Tracing | None:
    """Begin to send traces; None, and a line in the log, where that cannot be.

    A server without traces is better than none, so nothing about them ends it.
    """
    if protocol != _SPOKEN:
        _log.warning(
            "Traces are asked for by %r, but they are sent by %s only: none are.",
            protocol,
            _SPOKEN,
        )
        return None
    try:
        provider = _provider()
    except ImportError:
        _log.warning(
            "Traces are asked for by OTEL_… variables, but the packages opentelemetry-sdk and "
            "opentelemetry-exporter-otlp-proto-http are not installed: none are sent."
        )
        return None
    except Exception as error:  # noqa: BLE001 -- whatever the SDK thinks of a variable's value
        _log.warning(
            "Traces are asked for, but the OTEL_… variables are not understood (%s): none are "
            "sent.",
            describe(error),
        )
        return None
    return Tracing(provider, manifest)


def _provider() -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    ours = Resource({"service.name": _SERVICE, "service.version": __version__})
    resource = Resource.get_empty().merge(ours).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


class Tracing:
    """Makes the spans of requests that are over, and has them sent by a thread of the SDK's."""

    def __init__(self, provider: TracerProvider, manifest: Manifest):
        self._provider = provider
        self._tracer = provider.get_tracer("space_app", __version__)
        self._served: dict[str, str | int] = {
            "gen_ai.operation.name": "embeddings",
            "gen_ai.response.model": manifest.model,
            "gen_ai.embeddings.dimension.count": manifest.dimensions,
            "embedding.fingerprint": manifest.fingerprint,
        }

    def record(self, exchange: Exchange, headers: Headers) -> str:
        """One span for the request, below the one that its headers name; returns the trace's id."""
        epoch = time.time_ns() - time.perf_counter_ns()
        parent = propagate.extract({str(k, "latin-1"): str(v, "latin-1") for k, v in headers})
        known = exchange.route != "other"
        span = self._tracer.start_span(
            f"{exchange.method} {exchange.route}" if known else exchange.method,
            context=parent,
            kind=SpanKind.SERVER,
            attributes=_of_http(exchange),
            start_time=_moment(exchange.begun, epoch),
        )
        if exchange.embeddings is not None:
            self._embedded(span, exchange, epoch)
        if exchange.status >= _SERVER_ERROR:
            span.set_status(Status(StatusCode.ERROR))
        span.end(_moment(exchange.ended, epoch))
        return format_trace_id(span.get_span_context().trace_id)

    def close(self) -> None:
        """Send what is not sent yet, for a few seconds at most."""
        # The SDK waits for as long as a collector that is gone may take.
        goodbye = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        goodbye.start()
        goodbye.join(_GOODBYE_SECONDS)

    def _embedded(self, span: Span, exchange: Exchange, epoch: int) -> None:
        work = exchange.work()
        span.set_attributes(self._served)
        span.set_attribute("gen_ai.usage.input_tokens", work["tokens"])
        span.set_attribute("embedding.texts", work["texts"])
        span.set_attribute("embedding.truncated", work["truncated"])
        if exchange.embeddings is None or not span.is_recording():
            return
        within = set_span_in_context(span)
        for phase in exchange.embeddings.timing.phases:
            begun = _moment(phase.begun, epoch)
            child = self._tracer.start_span(phase.name, context=within, start_time=begun)
            child.end(_moment(phase.ended, epoch))


def _of_http(exchange: Exchange) -> Mapping[str, str | int]:
    """By OpenTelemetry's conventions for HTTP; a path is told where it is a route's."""
    found: dict[str, str | int] = {
        "http.request.method": "_OTHER" if exchange.method == "other" else exchange.method,
        "http.response.status_code": exchange.status,
        "url.scheme": "http",
        "embedding.request_id": exchange.request_id,
    }
    if exchange.route != "other":
        found["http.route"] = found["url.path"] = exchange.route
    if exchange.key:
        found["embedding.key"] = exchange.key
    if exchange.status >= _SERVER_ERROR:
        found["error.type"] = exchange.error or str(exchange.status)
    return found


def _moment(perf_counter: float, epoch: int) -> int:
    """Nanoseconds since 1970."""
    return epoch + int(perf_counter * 1e9)
