from __future__ import annotations

import asyncio
import re
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from fakes.embedder import FailingEmbedder, FakeEmbedder, fake_manifest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from space_app import __version__
from space_app.api.observing import Observing
from space_app.metrics import Metrics

if TYPE_CHECKING:
    from conftest import Running, StartApp

KEY = "the-key-of-the-tests"
LONG = "one two three four five six seven eight"


def samples(app: Running) -> dict[tuple[str, ...], float]:
    """Each value, by its name and labels: what Prometheus stores."""
    reply = app.http.get("/metrics")
    assert reply.status_code == 200, reply.text
    return {
        (sample.name, *(f"{k}={v}" for k, v in sorted(sample.labels.items()))): sample.value
        for family in plain(reply.text)
        for sample in family.samples
    }


def requests(app: Running) -> dict[str, float]:
    """How often each kind of request was counted."""
    name = "embedding_http_requests_total"
    return {" ".join(key[1:]): n for key, n in samples(app).items() if key[0] == name}


def test_the_formats(app: Running) -> None:
    """Plain text unless OpenMetrics is asked for, each said to be what it is."""
    for accept, parse, kind in (
        ("*/*", plain, "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text; version=abc, text/plain", openmetrics, None),
    ):
        reply = app.http.get("/metrics", headers={"Accept": accept})
        assert len(list(parse(reply.text))) > 20
        assert reply.headers["content-type"] == kind or kind is None
    assert reply.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")


def test_every_request_is_counted_by_its_route(app: Running) -> None:
    """The route's path, the status, and the name of the key that was right."""
    app.http.post("/embed", json={"text": "a"})
    app.http.post("/embed", json={"text": "b"})
    app.http.post("/embed", json={"text": 3})
    app.http.post("/embed", json={"text": "a"}, headers={"X-API-Key": "wrong"})
    app.http.get("/embed")
    app.http.get("/health")

    assert requests(app) == {
        "key=key 0 method=POST route=/embed status=200": 2,
        "key=key 0 method=POST route=/embed status=422": 1,
        "key= method=POST route=/embed status=401": 1,
        "key= method=GET route=/embed status=405": 1,
        "key= method=GET route=/health status=200": 1,
    }


def test_what_is_no_route_makes_no_label(app: Running) -> None:
    """Whoever asks for a thousand paths, methods and ids adds one line, and leaves no word."""
    for n in range(20):
        app.http.request("PROPFIND", f"/secret/{n}?secret={n}", headers={"x-request-id": f"{n}"})

    assert requests(app) == {"key= method=other route=other status=404": 20}
    assert "secret" not in app.http.get("/metrics").text.lower()


def test_the_work_is_counted(app: Running) -> None:
    """Texts, tokens, truncations, steps and cache are those of the requests."""
    app.http.post("/embed", json={"text": ["a b", "c", LONG], "input_type": "document"})
    app.http.post("/embed", json={"text": "c", "input_type": "document"})
    app.http.post("/embed", json={"text": ""})
    found = {key[0]: value for key, value in samples(app).items()}

    assert found["embedding_texts_total"] == 4
    assert found["embedding_tokens_total"] == 2 + 1 + 6 + 1
    assert found["embedding_truncated_texts_total"] == 1
    assert (found["embedding_cache_hits_total"], found["embedding_cache_misses_total"]) == (1, 3)
    assert found["embedding_cache_entries"] == 3
    assert found["embedding_cache_max_bytes"] > found["embedding_cache_bytes"] > 0
    assert found["embedding_step_tokens_sum"] == 9
    assert found["embedding_step_texts_sum"] == 3
    assert found["embedding_step_seconds_count"] == found["embedding_step_fill_ratio_count"] == 1
    assert found["embedding_step_fill_ratio_sum"] == 9 / 16
    for part in ("tokenise", "queue", "compute"):
        assert found[f"embedding_{part}_seconds_count"] == 2
        assert found[f"embedding_{part}_seconds_sum"] > 0


def test_a_request_that_nobody_waits_for_is_counted(app: Running, embedder: FakeEmbedder) -> None:
    """A client that leaves is status 499, and no longer in flight."""
    embedder.gate.clear()
    host, port = app.url.removeprefix("http://").split(":")
    body = b'{"text": "x"}'
    with socket.create_connection((host, int(port))) as client:
        client.sendall(
            b"POST /embed HTTP/1.1\r\nhost: x\r\nx-api-key: %b\r\ncontent-length: %d\r\n\r\n%b"
            % (KEY.encode(), len(body), body)
        )
        assert embedder.started.acquire(timeout=30)
        assert samples(app)["embedding_http_requests_in_flight",] == 2

    left = "key=key 0 method=POST route=/embed status=499"
    for _ in range(1000):
        if left in (found := requests(app)):
            break
        time.sleep(0.01)
    assert found[left] == 1
    assert samples(app)["embedding_http_requests_in_flight",] == 1


def test_what_is_served_and_the_process(app: Running) -> None:
    """The build is named, and the process's memory and CPU time are there."""
    found = samples(app)

    (build,) = (key for key in found if key[0] == "embedding_build_info")
    assert {"model=acme/tiny-model", "fingerprint=feedc0de", f"version={__version__}"} < set(build)
    assert found["embedding_warm",] in {0, 1}
    for name in ("cpu_seconds_total", "resident_memory_bytes", "open_fds"):
        assert found[f"process_{name}",] > 0


def test_two_apps_count_apart(start_app: StartApp) -> None:
    """Nothing is global: a second server in the process has counters of its own."""
    with start_app(FakeEmbedder()) as one, start_app(FakeEmbedder()) as two:
        one.http.get("/health")
        assert requests(one)
        assert requests(two) == {}


def test_a_key_is_needed(app: Running) -> None:
    """Metrics say how a server is used, and no key is among them."""
    assert httpx2.get(f"{app.url}/metrics", trust_env=False).status_code == 401
    assert KEY not in app.http.get("/metrics").text


# --- request ids, times, log lines -------------------------------------------------------------


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """The fields of what was logged of requests."""
    return [vars(record)["fields"] for record in caplog.records if record.msg == "Request"]


@pytest.mark.parametrize("given", ["a", "0190-ab_C.d", "x" * 128])
def test_a_request_id_is_taken_over(app: Running, given: str) -> None:
    """What a client or a proxy calls a request is what it is called here."""
    assert app.http.get("/livez", headers={"X-Request-ID": given}).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", 'a"b', "a,b", "\xe4", "a=b", None])
def test_a_request_id_that_cannot_stand_in_a_log_is_replaced(
    app: Running, given: str | None
) -> None:
    """Whoever sends none, or an odd one, gets one that is his alone."""
    headers = {} if given is None else {"X-Request-ID": given.encode("latin-1")}
    ids = [app.http.get("/livez", headers=headers).headers["x-request-id"] for _ in range(2)]

    assert all(re.fullmatch("[0-9a-f]{32}", found) for found in ids)
    assert ids[0] != ids[1]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/no/such", 404), ("DELETE", "/embed", 405), ("POST", "/embed", 400)],
)
def test_errors_have_an_id_too(app: Running, method: str, path: str, status: int) -> None:
    """Whatever is answered can be found in the log by the id of its reply."""
    reply = app.http.request(method, path, content=b"{", headers={"X-Request-ID": "one"})

    assert (reply.status_code, reply.headers["x-request-id"]) == (status, "one")


def test_an_error_of_the_last_resort(start_app: StartApp, caplog: pytest.LogCaptureFixture) -> None:
    """A failure is counted, has its id, and its log line tells nothing of the text."""
    with start_app(FailingEmbedder()) as app:
        reply = app.http.post("/embed", json={"text": "SECRET"}, headers={"X-Request-ID": "one"})
        counted = requests(app)

    assert (reply.status_code, reply.headers["x-request-id"]) == (500, "one")
    assert counted == {"key=key 0 method=POST route=/embed status=500": 1}
    assert "SECRET" not in caplog.text
    assert lines(caplog)[0]["status"] == 500


def test_the_time_is_told(app: Running) -> None:
    """Replies with vectors say in milliseconds where their time went, by the names of the parts."""
    told = app.http.post("/v1/embeddings", json={"input": ["a"] * 3}).headers["server-timing"]
    parts = dict(re.fullmatch(r"(\w+);dur=([\d.]+)", part).groups() for part in told.split(", "))

    assert list(parts) == ["tokenise", "queue", "compute"]
    assert all(float(value) >= 0 for value in parts.values())
    assert float(parts["compute"]) > 0
    assert "server-timing" not in app.http.get("/info").headers
    assert "server-timing" not in app.http.post("/embed", json={}).headers


def test_a_line_of_a_request(app: Running, caplog: pytest.LogCaptureFixture) -> None:
    """What was asked, by whom, how much it was and how long it took; nothing that was sent."""
    caplog.set_level("INFO")
    body = {"input": [LONG, "SECRET"], "user": "SECRET", "model": "SECRET"}
    app.http.post("/v1/embeddings?key=SECRET", json=body)
    app.http.post("/v1/embeddings", json={"input": 3, "SECRET": 1})
    app.http.get("/SECRET")
    app.http.get("/health")
    found, wrong, unknown = lines(caplog)

    assert {name: value for name, value in found.items() if not name.endswith("_ms")} == {
        "method": "POST",
        "route": "/v1/embeddings",
        "status": 200,
        "key": "key 0",
        "texts": 2,
        "tokens": 7,
        "truncated": 1,
    }
    assert found["duration_ms"] >= found["compute_ms"] > 0
    assert (wrong["status"], wrong["error"]) == (422, "invalid_request")
    assert (unknown["route"], unknown["status"], unknown["error"]) == ("other", 404, "not_found")
    ours = str([vars(record) for record in caplog.records if record.name == "space_app"])
    assert "SECRET" not in ours
    assert KEY not in ours


@pytest.mark.parametrize("path", ["/health", "/livez", "/metrics"])
def test_what_monitors_ask_is_logged_for_debugging_only(
    app: Running, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    """A probe every few seconds does not bury what people did."""
    caplog.set_level("DEBUG")
    app.http.get(path)

    assert [r.levelname for r in caplog.records if r.msg == "Request"] == ["DEBUG"]


@pytest.mark.parametrize("end", [None, asyncio.CancelledError()])
def test_a_request_that_gets_no_answer(end: BaseException | None) -> None:
    """What ends without an answer is counted as one that nobody waits for, and is over."""
    metrics = Metrics(fake_manifest())

    async def silent(*_: object) -> None:
        if end is not None:
            raise end

    async def nothing(*_: object) -> Any:
        raise AssertionError("nobody is to be asked or told")

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    with suppress(asyncio.CancelledError):
        asyncio.run(Observing(silent, metrics=metrics)(scope, nothing, nothing))

    found = [s for family in metrics.families() for s in family.samples]
    (counted,) = (s for s in found if s.name == "embedding_http_requests_total")
    (left,) = (s.value for s in found if s.name == "embedding_http_requests_in_flight")
    assert (counted.labels["status"], counted.value, left) == ("499", 1, 0)
