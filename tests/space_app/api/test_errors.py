from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fakes.embedder import FailingEmbedder, FakeEmbedder

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx2
    from conftest import Running, StartApp

    from space_app.core.types import Encoded, Matrix

SECRET = "what somebody wrote to nobody else"


def code_of(reply: httpx2.Response, status: int) -> str:
    """The code of an error, which has the one shape and holds nothing of the input."""
    assert reply.status_code == status, reply.text
    assert SECRET not in reply.text
    body = reply.json()
    assert list(body) == ["error"]
    error = body["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    assert error["type"] == ("server_error" if status >= 500 else "invalid_request_error")
    return str(error["code"])


@pytest.mark.parametrize("path", ["/embed", "/v1/embeddings"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"text": "' + SECRET.encode(),
        b'{"text": "\xff"}',
        b'{"text": "\\ud800"}',
        b"[" * 999,
        b"x",
        b" \n",
        b"\xef\xbb\xbf{}",
        b'{"text": NaN}',
        b'{"text": 1e999}',
    ],
    ids=[
        "nothing",
        "half",
        "no UTF-8",
        "half a surrogate pair",
        "deep",
        "a word",
        "blank",
        "a byte-order mark",
        "NaN",
        "beyond a double",
    ],
)
def test_bad_json(app: Running, path: str, content: bytes) -> None:
    """What is no JSON is a 400."""
    assert code_of(app.http.post(path, content=content), 400) == "invalid_json"


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/embed", {}, "text"),
        ("/embed", {"text": SECRET, "inputs": SECRET}, "text"),
        ("/embed", {"text": None}, "text"),
        ("/embed", {"text": {"a": SECRET}}, "text"),
        ("/embed", {"text": [SECRET, 5]}, "text"),
        ("/embed", {"text": "x", "input_type": SECRET}, "input_type"),
        ("/embed", {"text": "x", "prompt_name": SECRET}, "prompt_name"),
        ("/embed", {"text": "x", "dimensions": 10**30}, "dimensions"),
        ("/embed", {"text": "x", "truncate": "yes"}, "truncate"),
        ("/embed", {"text": "x", "truncation_direction": SECRET}, "truncation_direction"),
        ("/embed", [SECRET], None),
        ("/v1/embeddings", {"model": "m"}, "input"),
        ("/v1/embeddings", {"input": [[SECRET]]}, "input"),
        ("/v1/embeddings", {"input": [[]]}, "input"),
        ("/v1/embeddings", {"input": [SECRET, 5]}, "input"),
        ("/v1/embeddings", {"input": True}, "input"),
        ("/v1/embeddings", {"input": 1.5}, "input"),
        ("/v1/embeddings", {"input": "x", "model": 5}, "model"),
        ("/v1/embeddings", {"input": "x", "encoding_format": SECRET}, "encoding_format"),
        ("/v1/embeddings", {"input": "x", "dimensions": 0}, "dimensions"),
        ("/v1/embeddings", {"input": "x", "dimensions": 9}, "dimensions"),
        ("/v1/embeddings", {"input": "x", "dimensions": "8"}, "dimensions"),
    ],
)
def test_wrong_fields(app: Running, path: str, body: Any, param: str | None) -> None:
    """A field that is missing, of the wrong type or out of range is a 422 that names it."""
    reply = app.http.post(path, json=body)

    assert code_of(reply, 422) == "invalid_request"
    assert reply.json()["error"]["param"] == param


@pytest.mark.parametrize("tokens", [[1, 2, 3], [[1, 2], [3]], [7] * 100_000])
def test_token_numbers(app: Running, tokens: list[Any]) -> None:
    """Token numbers are a 400 that names the switch of the client that sends them."""
    reply = app.http.post("/v1/embeddings", json={"input": tokens})

    assert code_of(reply, 400) == "tokens_not_supported"
    assert "check_embedding_ctx_length=False" in reply.json()["error"]["message"]


@pytest.mark.parametrize(("path", "field"), [("/embed", "text"), ("/v1/embeddings", "input")])
@pytest.mark.parametrize("empty", ["", [], ["a", ""]], ids=repr)
def test_empty_input(app: Running, path: str, field: str, empty: Any) -> None:
    """Nothing to embed is a 400."""
    assert code_of(app.http.post(path, json={field: empty}), 400) == "empty_input"


@pytest.mark.parametrize(("path", "field"), [("/embed", "text"), ("/v1/embeddings", "input")])
def test_too_many_inputs(app: Running, path: str, field: str) -> None:
    """One text more than allowed is a 422."""
    assert code_of(app.http.post(path, json={field: ["x"] * 65}), 422) == "too_many_inputs"


def test_unknown_route(app: Running) -> None:
    """A path that is not there is a 404."""
    assert code_of(app.http.get(f"/{SECRET}"), 404) == "not_found"


@pytest.mark.parametrize(
    ("path", "allowed"), [("/embed", "POST"), ("/", "GET, HEAD, POST"), ("/health", "GET, HEAD")]
)
def test_wrong_method(app: Running, path: str, allowed: str) -> None:
    """A method that a route does not have is a 405 that lists those it has."""
    reply = app.http.delete(path)

    assert code_of(reply, 405) == "method_not_allowed"
    assert reply.headers["allow"] == allowed


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/xml"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
    ids=str,
)
def test_what_is_declared_as_no_json(app: Running, headers: dict[str, str]) -> None:
    """A body that is something else by its own header is a 415."""
    reply = app.http.post("/embed", content=b'{"text": "x"}', headers=headers)

    assert code_of(reply, 415) == "unsupported_media_type"


@pytest.mark.parametrize(
    "declared",
    [
        None,
        "application/json; charset=utf-8",
        "application/vnd.acme+json",
        "text/plain;charset=UTF-8",
        "application/x-www-form-urlencoded",
    ],
)
def test_json_by_any_usual_name(app: Running, declared: str | None) -> None:
    """What curl and fetch say when nobody tells them is taken for the JSON that it is."""
    headers = {} if declared is None else {"Content-Type": declared}

    assert app.http.post("/embed", content=b'{"text": "x"}', headers=headers).status_code == 200


def test_the_last_of_a_fields_duplicates_counts(app: Running, embedder: FakeEmbedder) -> None:
    """As in every common JSON library."""
    app.http.post("/embed", content=b'{"text": "first", "text": "second"}')

    assert embedder.steps == [["query: second"]]


def test_a_failure_inside(start_app: StartApp, caplog: pytest.LogCaptureFixture) -> None:
    """An exception is a 500 and one line in the log, neither with a trace or the text in it."""
    with start_app(FailingEmbedder()) as app, caplog.at_level(logging.DEBUG):
        reply = app.http.post("/embed", json={"text": SECRET})
        still_there = app.http.get("/health")

    assert code_of(reply, 500) == "internal_error"
    assert "Traceback" not in reply.text
    assert still_there.status_code == 200
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.getMessage() for record in errors] == [
        f"The server failed: RuntimeError at embedder.py:{_line_of_failure()}"
    ]
    assert all(record.exc_info is None for record in errors)
    assert SECRET not in caplog.text


def test_a_failure_in_a_step_of_several_requests(
    app: Running, embedder: FakeEmbedder, caplog: pytest.LogCaptureFixture
) -> None:
    """Only the request whose text cannot be computed gets a 500; the server goes on."""
    embedder.poison = "poison"
    embedder.gate.clear()
    with ThreadPoolExecutor() as threads:
        first = threads.submit(app.http.post, "/embed", json={"text": "first"})
        assert embedder.started.acquire(timeout=30)
        others = [
            threads.submit(app.http.post, "/embed", json={"text": text})
            for text in ("good", f"poison {SECRET}", "sound")
        ]
        deadline = time.monotonic() + 30
        while app.service.state.load.texts < 3:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        embedder.gate.set()
        statuses = [reply.result().status_code for reply in (first, *others)]

    assert statuses == [200, 200, 500, 200]
    assert len(embedder.steps) == 5
    assert app.http.post("/embed", json={"text": "next"}).status_code == 200
    assert SECRET not in caplog.text


def test_an_engine_that_computes_nothing_right_any_more(start_app: StartApp) -> None:
    """Once even a plain word has no vector /health is 503; the next right vector ends that."""

    class Broken(FakeEmbedder):
        broken = False

        def embed(self, step: Sequence[Sequence[Encoded]]) -> Matrix:
            return super().embed(step) * (np.float32(0) if self.broken else np.float32(1))

    embedder = Broken()
    with start_app(embedder) as app:
        embedder.broken = True
        failed = [app.http.post("/embed", json={"text": "word"}) for _ in range(2)]
        ill = app.http.get("/health")
        embedder.broken = False
        healed = app.http.post("/embed", json={"text": "word"})
        well = app.http.get("/health")

    assert [reply.json()["error"]["code"] for reply in failed] == ["invalid_vector"] * 2
    assert (ill.status_code, ill.json()["status"]) == (503, "unhealthy")
    assert healed.status_code == 200
    assert (well.status_code, well.json()["status"]) == (200, "degraded")


def test_dimensions_that_are_all_zeros(start_app: StartApp) -> None:
    """A vector that cannot be brought to length 1 after it was cut is not delivered."""

    class Late(FakeEmbedder):
        def embed(self, step: Sequence[Sequence[Encoded]]) -> Matrix:
            found = super().embed(step)
            found[:, 0] = 0
            return found / np.linalg.norm(found, axis=1, keepdims=True)

    with start_app(Late()) as app:
        cut = [
            app.http.post("/v1/embeddings", json={"input": "word", "dimensions": dimensions})
            for dimensions in (1, 2)
        ]

    assert [reply.status_code for reply in cut] == [500, 200]
    assert cut[0].json()["error"]["code"] == "invalid_vector"


def test_too_much_work(start_app: StartApp, embedder: FakeEmbedder) -> None:
    """What would wait too long is a 429 that says when to come again; it is not computed."""
    embedder.gate.clear()
    with start_app(embedder, max_wait_seconds=0) as app, ThreadPoolExecutor() as threads:
        bulk = [f"text {n}" for n in range(60)]
        first = threads.submit(app.http.post, "/v1/embeddings", json={"input": bulk})
        assert embedder.started.acquire(timeout=30)
        refused = app.http.post("/v1/embeddings", json={"input": [f"late {text}" for text in bulk]})
        embedder.gate.set()
        assert first.result().status_code == 200

    assert refused.status_code == 429
    assert refused.json()["error"]["code"] == "overloaded"
    assert refused.json()["error"]["type"] == "rate_limit_error"
    assert int(refused.headers["retry-after"]) >= 1
    assert "late" not in str(embedder.steps)


def test_no_input_in_the_log(app: Running, caplog: pytest.LogCaptureFixture) -> None:
    """What is answered, or refused, is not logged."""
    with caplog.at_level(logging.DEBUG):
        app.http.post("/embed", json={"text": SECRET})
        app.http.post("/embed", json={"text": {"a": SECRET}})

    assert SECRET not in "".join(
        record.getMessage() for record in caplog.records if record.name.startswith("space_app")
    )


def test_an_error_leaves_the_connection_usable(app: Running, embedder: FakeEmbedder) -> None:
    """After an error the same connection serves the next request."""
    app.http.post("/embed", json={})

    assert app.http.post("/embed", json={"text": "next"}).status_code == 200
    assert len(embedder.steps) == 1


class GreedyEmbedder(FakeEmbedder):
    """Needs more memory than there is."""

    def embed(self, step: Sequence[Sequence[Encoded]]) -> Matrix:  # noqa: ARG002 -- a runtime's
        """As Embedder.embed."""
        raise MemoryError


def test_too_little_memory(start_app: StartApp) -> None:
    """It's a 503 that says when to come back: the same request may be answered then."""
    with start_app(GreedyEmbedder()) as app:
        reply = app.http.post("/embed", json={"text": SECRET})

    assert code_of(reply, 503) == "out_of_memory"
    assert int(reply.headers["retry-after"]) > 0


def _line_of_failure() -> int:
    code = FailingEmbedder.embed.__code__
    return max(line for _, _, line in code.co_lines() if line is not None)
