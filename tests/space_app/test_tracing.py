from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx2
import numpy as np
import pytest
from fakes.embedder import DIMENSIONS, fake_manifest
from fakes.otlp_collector import attributes, collecting
from server_process import started

from space_app import __version__, tracing
from space_app.core.types import Embeddings, Phase, Timing
from space_app.exchange import Exchange

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from space_app.tracing import Tracing

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"
PHASES = (Phase("tokenise", 1.0, 1.5), Phase("queue", 1.5, 2.0), Phase("compute", 2.0, 4.0))
KEY = "key-of-a-test"


@contextmanager
def traced(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> Iterator[Tracing]:
    """Tracing to this endpoint; what is left is sent at the end."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
    made = tracing.start(fake_manifest())
    assert made is not None
    try:
        yield made
    finally:
        made.close()


def exchange(**changes: object) -> Exchange:
    """A request that was answered, from second 1 to 5."""
    embeddings = Embeddings(
        np.zeros((2, DIMENSIONS), np.float32), (3, 4), (False, True), Timing(0.5, 0.5, 2.0, PHASES)
    )
    values = {
        "request_id": "one",
        "method": "POST",
        "route": "/embed",
        "status": 200,
        "key": "mem0",
        "begun": 0.5,
        "ended": 5.0,
        "embeddings": embeddings,
    }
    return Exchange(**(values | changes))  # type: ignore[arg-type]


def test_a_request_is_a_span_and_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the caller's span, by OpenTelemetry's conventions, each part as long as it took."""
    with collecting() as collector:
        with traced(monkeypatch, collector.url) as made:
            headers = [(b"traceparent", TRACEPARENT.encode()), (b"x-api-key", KEY.encode())]
            assert made.record(exchange(), headers) == TRACE
        span = collector.server_span()
        parts = collector.children(span)

    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, SPAN)
    assert span.name == "POST /embed"
    assert attributes(span.attributes) == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.route": "/embed",
        "url.path": "/embed",
        "url.scheme": "http",
        "embedding.request_id": "one",
        "embedding.key": "mem0",
        "embedding.fingerprint": "feedc0de",
        "embedding.texts": 2,
        "embedding.truncated": 1,
        "gen_ai.operation.name": "embeddings",
        "gen_ai.response.model": "acme/tiny-model",
        "gen_ai.embeddings.dimension.count": DIMENSIONS,
        "gen_ai.usage.input_tokens": 7,
    }
    lengths = {
        name: (part.end_time_unix_nano - part.start_time_unix_nano) / 1e9
        for name, part in parts.items()
    }
    assert lengths == pytest.approx({"tokenise": 0.5, "queue": 0.5, "compute": 2.0}, abs=1e-6)
    assert span.end_time_unix_nano - span.start_time_unix_nano == pytest.approx(4.5e9, abs=1000)
    assert span.start_time_unix_nano < parts["tokenise"].start_time_unix_nano
    assert collector.resource["service.name"] == "embedding-space"
    assert collector.resource["service.version"] == __version__
    assert collector.headers[":path"] == "/v1/traces"


def test_the_moments_are_of_today(monkeypatch: pytest.MonkeyPatch) -> None:
    """A span begins when the request did, by the clock on the wall."""
    before = time.time_ns()
    begun = time.perf_counter()
    with collecting() as collector, traced(monkeypatch, collector.url) as made:
        made.record(exchange(begun=begun, ended=time.perf_counter()), [])
        made.close()
        span = collector.server_span()

    assert before - 10**7 < span.start_time_unix_nano <= span.end_time_unix_nano
    assert span.end_time_unix_nano < time.time_ns() + 10**7


@pytest.mark.parametrize(("status", "code"), [(404, 0), (422, 0), (499, 0), (500, 2), (503, 2)])
def test_what_is_an_error(monkeypatch: pytest.MonkeyPatch, status: int, code: int) -> None:
    """The server's failures are; what a client did wrong is not, and has no parts."""
    with collecting() as collector:
        with traced(monkeypatch, collector.url) as made:
            made.record(
                exchange(status=status, embeddings=None, route="other", error="why", key=""), []
            )
        (span,) = collector.spans

    assert span.status.code == code
    assert span.name == "POST"
    found = attributes(span.attributes)
    assert found.get("error.type") == ("why" if code else None)
    assert not found.keys() & {"url.path", "http.route", "embedding.key", "embedding.texts"}


def test_standard_variables_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service's name, headers to the collector and sampling are OpenTelemetry's to set."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-team=blue")
    unsampled = [(b"traceparent", TRACEPARENT[:-1].encode() + b"0")]
    with collecting() as collector, traced(monkeypatch, collector.url) as made:
        made.record(exchange(), [])
        assert made.record(exchange(), unsampled) == TRACE
        made.close()

    assert collector.resource["service.name"] == "mine"
    assert collector.headers["x-team"] == "blue"
    assert TRACE not in {span.trace_id.hex() for span in collector.spans}


@pytest.mark.parametrize("wrong", ["", "00-zz-zz-01", "\xff" * 5, TRACEPARENT * 3])
def test_a_traceparent_that_is_none(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    """A header that is no trace begins a new one."""
    with collecting() as collector:
        with traced(monkeypatch, collector.url) as made:
            made.record(exchange(), [(b"traceparent", wrong.encode("latin-1"))])
        span = collector.server_span()

    assert span.parent_span_id == b""
    assert span.trace_id.hex() != TRACE


def test_a_collector_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a request nor the end of the server waits for it."""
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        traced(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}") as made,
    ):
        for _ in range(3000):
            made.record(exchange(embeddings=None), [])


@pytest.mark.parametrize(
    ("lacking", "variable", "protocol", "said"),
    [
        ("opentelemetry.sdk", {}, "http/protobuf", "opentelemetry-sdk and opentelemetry-exporter"),
        ("", {"OTEL_BSP_MAX_QUEUE_SIZE": "-1"}, "http/protobuf", "(ValueError at "),
        ("", {}, "grpc", "sent by http/protobuf only"),
    ],
)
def test_what_cannot_be_traced_is_served(
    lacking: str, variable: dict[str, str], protocol: str, said: str
) -> None:
    """Without the SDK, or with a wrong variable, one line says so and nothing is raised."""
    program = f"""
import sys
sys.modules[{lacking!r}] = None
sys.path[:0] = ["tests"]
from fakes.embedder import fake_manifest
from space_app import log, tracing
log.configure(20)
assert tracing.start(fake_manifest(), {protocol!r}) is None
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env=variable, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    (line,) = done.stderr.splitlines()
    assert "WARNING Traces are asked for" in line
    assert said in line


def test_a_server_that_is_traced(artefact: Path) -> None:
    """Asked for by the standard variables, with the trace in the log line; sent before the end."""
    with (
        collecting() as collector,
        started(
            artefact,
            EMBED_API_KEYS=f"mem0={KEY}",
            EMBED_LOG_FORMAT="json",
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            # FastAPI's own traces would tell of query strings.
            FASTAPI_OTEL_AUTO_CONFIGURE="true",
        ) as server,
    ):
        server.wait_until_healthy()
        reply = httpx2.post(
            f"{server.url}/v1/embeddings?token=SECRET",
            json={"input": ["a text that is SECRET"]},
            headers={"Authorization": f"Bearer {KEY}", "traceparent": TRACEPARENT},
            trust_env=False,
        )
        code, log = server.end()

    assert (reply.status_code, code) == (200, 0)
    (span,) = (span for span in collector.spans if span.trace_id.hex() == TRACE and span.kind == 2)
    assert set(collector.children(span)) == {"tokenise", "queue", "compute"}
    entries = [json.loads(line) for line in log.splitlines()]
    assert [e["trace_id"] for e in entries if e.get("route") == "/v1/embeddings"] == [TRACE]
    sent = f"{collector.spans}{log}"
    assert "SECRET" not in sent
    assert KEY not in sent
