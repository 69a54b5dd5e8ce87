"""What OpenTelemetry's SDK sends its spans to: OTLP over HTTP, in protobuf, on loopback."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.proto.common.v1.common_pb2 import KeyValue
    from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass
class Collector:
    """Keeps what it got."""

    url: str
    spans: list[Span] = field(default_factory=list)
    resource: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    def server_span(self) -> Span:
        """The only one that is a request's."""
        (found,) = (span for span in self.spans if span.kind == span.SPAN_KIND_SERVER)
        return found

    def children(self, parent: Span) -> dict[str, Span]:
        """Spans below this one, by name."""
        return {span.name: span for span in self.spans if span.parent_span_id == parent.span_id}


def attributes(values: Any) -> dict[str, Any]:
    """A span's attributes, or a resource's, as plain values."""
    return {item.key: _plain(item) for item in values}


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens; it is gone afterwards."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = ExportTraceServiceRequest()
            request.ParseFromString(self.rfile.read(int(self.headers["content-length"])))
            collector.headers = {k.lower(): v for k, v in self.headers.items()}
            collector.headers[":path"] = self.path
            for sent in request.resource_spans:
                collector.resource = attributes(sent.resource.attributes)
                for scope in sent.scope_spans:
                    collector.spans.extend(scope.spans)
            reply = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_: object) -> None:
            """Nothing on stderr."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector = Collector(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()


def _plain(item: KeyValue) -> Any:
    return getattr(item.value, str(item.value.WhichOneof("value")))
