from __future__ import annotations

import base64
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import openai
import pytest
from fakes.embedder import DIMENSIONS, QUERY_INSTRUCTION, FakeEmbedder, vector

from space_app.core.types import Role

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Running, StartApp

LONG = "one two three four five six seven eight"


@pytest.fixture(name="client")
def _client(app: Running) -> Iterator[openai.OpenAI]:
    """OpenAI's own client, without retries."""
    with openai.OpenAI(
        base_url=f"{app.url}/v1",
        api_key="the-key-of-the-tests",
        max_retries=0,
        http_client=openai.DefaultHttpxClient(trust_env=False),
    ) as client:
        yield client


def embed(app: Running, **body: Any) -> Any:
    """What POST /embed answers."""
    reply = app.http.post("/embed", json=body)
    assert reply.status_code == 200, reply.text
    return reply.json()


def embeddings(app: Running, **body: Any) -> list[list[float]]:
    """The vectors that POST /v1/embeddings answers."""
    reply = app.http.post("/v1/embeddings", json=body)
    assert reply.status_code == 200, reply.text
    return [item["embedding"] for item in reply.json()["data"]]


def is_vector_of(text: str) -> Any:
    """Equal to the vector of what the embedder is to get."""
    return pytest.approx(vector(text).tolist(), rel=1e-6)


def test_embed_one_text_as_a_query(app: Running) -> None:
    """The original contract: one text in, one embedding out, with the query instruction."""
    assert embed(app, text="hello") == {"embedding": is_vector_of(QUERY_INSTRUCTION + "hello")}


def test_embed_a_list(app: Running) -> None:
    """A list in, a list out, also of one text."""
    body = embed(app, text=["a", "b"])

    assert list(body) == ["embeddings"]
    assert body["embeddings"] == [is_vector_of(QUERY_INSTRUCTION + text) for text in ("a", "b")]
    assert len(embed(app, text=["a"])["embeddings"]) == 1


def test_embed_documents_when_asked(app: Running) -> None:
    """input_type "document" leaves the instruction out."""
    assert embed(app, text="hello", input_type="document")["embedding"] == is_vector_of("hello")


@pytest.mark.parametrize("path", ["/v1/embeddings", "/embeddings"])
def test_openai_shape(app: Running, path: str) -> None:
    """Both paths answer in the shape of OpenAI's reference."""
    reply = app.http.post(path, json={"model": "whatever", "input": ["a b", "c"], "user": "u"})

    assert reply.json() == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": is_vector_of("a b")},
            {"object": "embedding", "index": 1, "embedding": is_vector_of("c")},
        ],
        "model": "acme/tiny-model",
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
    }


@pytest.mark.parametrize(
    ("options", "read"),
    [
        ({}, "hello"),
        ({"model": "tiny-model-embed:query"}, QUERY_INSTRUCTION + "hello"),
        ({"model": "tiny-model-embed:document"}, "hello"),
        ({"model": "llama:latest"}, "hello"),
        ({"input_type": "query"}, QUERY_INSTRUCTION + "hello"),
        ({"input_type": "document", "model": "x:query"}, "hello"),
    ],
    ids=str,
)
def test_openai_roles(app: Running, options: dict[str, str], read: str) -> None:
    """A document, unless input_type or else the model's suffix says query."""
    assert embeddings(app, input="hello", **options) == [is_vector_of(read)]


def test_the_setting_is_the_role_where_nothing_else_says_it(start_app: StartApp) -> None:
    """Where it is "query", OpenAI's routes read queries; a field, and TEI's routes, do not care."""
    with start_app(FakeEmbedder(), default_input_type=Role.QUERY) as app:
        assert embeddings(app, input="hello") == [is_vector_of(QUERY_INSTRUCTION + "hello")]
        assert embeddings(app, input="hello", input_type="document") == [is_vector_of("hello")]
        assert embed(app, inputs="hello") == [is_vector_of("hello")]


@pytest.mark.parametrize(
    ("field", "value", "read"),
    [
        ("input_type", "query", QUERY_INSTRUCTION + "hello"),
        ("input_type", "search_query", QUERY_INSTRUCTION + "hello"),
        ("input_type", "search_document", "hello"),
        ("input_type", "passage", "hello"),
        ("prompt_name", "query", QUERY_INSTRUCTION + "hello"),
        ("prompt_name", "document", "hello"),
    ],
)
def test_roles_on_every_route(app: Running, field: str, value: str, read: str) -> None:
    """Both names of the field, and other vendors' words for roles, are understood everywhere."""
    option = {field: value}

    assert embed(app, text="hello", **option) == {"embedding": is_vector_of(read)}
    assert embed(app, inputs="hello", **option) == [is_vector_of(read)]
    assert embeddings(app, input="hello", **option) == [is_vector_of(read)]


def test_fields_that_are_null_are_not_set(app: Running) -> None:
    """Clients that send every field they know of send null."""
    names = ("model", "encoding_format", "dimensions", "input_type", "prompt_name", "truncate")

    assert embeddings(app, input="hello", **dict.fromkeys(names)) == [is_vector_of("hello")]


def test_the_end_of_a_text_is_kept_when_asked(app: Running) -> None:
    """truncation_direction "left" cuts the beginning, and is remembered apart from the other."""
    assert embeddings(app, input=LONG) == [is_vector_of("one two three four five six")]
    for _ in range(2):
        (found,) = embeddings(app, input=LONG, truncation_direction="left")
        assert found == is_vector_of("three four five six seven eight")


@pytest.mark.parametrize("remembered", [False, True])
def test_nothing_is_cut_without_leave(
    app: Running,
    embedder: FakeEmbedder,
    remembered: bool,  # noqa: FBT001 -- what came before
) -> None:
    """Where `truncate` is false the refusal says which text is too long, and how long it is."""
    if remembered:
        embeddings(app, input=LONG)
    steps = len(embedder.steps)
    body = {"input": ["short", LONG], "truncate": False}
    reply = app.http.post("/v1/embeddings", json=body)

    assert reply.status_code == 422
    assert reply.json()["error"]["code"] == "input_too_long"
    message = reply.json()["error"]["message"]
    assert message.startswith("Text 1 (counted from 0) is too long: 8 tokens of it were looked at")
    assert len(embedder.steps) == steps
    assert embeddings(app, input=["short"], truncate=False) == [is_vector_of("short")]


def test_openai_client(client: openai.OpenAI) -> None:
    """The real client, which asks for base64 by itself, gets the right numbers."""
    reply = client.embeddings.create(model="any", input=["hello", "world"])

    assert [item.embedding for item in reply.data] == [is_vector_of("hello"), is_vector_of("world")]
    assert reply.usage.total_tokens == 2


def test_openai_client_with_dimensions(client: openai.OpenAI) -> None:
    """The real client's `dimensions` shortens the vector."""
    reply = client.embeddings.create(model="any", input="hello", dimensions=2)

    assert np.hypot(*reply.data[0].embedding) == pytest.approx(1, rel=1e-6)


def test_openai_client_lists_models(client: openai.OpenAI) -> None:
    """The model's id is listed, and one that pickers recognise by "embed"."""
    ids = [model.id for model in client.models.list()]

    assert ids[:2] == ["acme/tiny-model", "tiny-model-embed"]


def test_openai_client_reads_errors(client: openai.OpenAI) -> None:
    """An error reaches the real client with its message and code."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model="any", input="")

    assert caught.value.code == "empty_input"


def test_base64_is_little_endian_float32(app: Running) -> None:
    """base64 holds four bytes for each number, the lowest first."""
    reply = app.http.post("/v1/embeddings", json={"input": "hello", "encoding_format": "base64"})
    raw = base64.b64decode(reply.json()["data"][0]["embedding"])

    assert np.frombuffer(raw, dtype="<f4").tolist() == is_vector_of("hello")


@pytest.mark.parametrize(
    "text",
    ["   ", "\n", "a\0b", "\0", "🙂👩‍👩‍👧", "שלום עולם", "‮مرحبا", "e\u0301", "\uffff"],  # noqa: PLE2502
    ids=ascii,
)
def test_odd_texts(app: Running, text: str) -> None:
    """Only spaces, NUL, emoji, right-to-left: whatever is a text has a vector, the same on both."""
    assert embeddings(app, input=text) == [is_vector_of(text)]
    assert embed(app, text=[text, "x"], input_type="document")["embeddings"] == [
        is_vector_of(text),
        is_vector_of("x"),
    ]


def test_texts_of_very_different_lengths(app: Running) -> None:
    """Short, blank and long ones in one request come back in their order."""
    texts = ["a", LONG * 500, " ", "b" * 300_000, LONG, *(f"x {n}" for n in range(40))]

    assert embeddings(app, input=texts) == [is_vector_of(text) for text in texts]


def test_2048_texts(start_app: StartApp) -> None:
    """The most that OpenAI's clients send is answered in order, in both encodings; one more not."""
    texts = [f"text {n}" for n in range(2048)]
    with start_app(FakeEmbedder(), max_inputs=2048) as app:
        assert embeddings(app, input=texts) == [is_vector_of(text) for text in texts]
        body = {"input": texts, "encoding_format": "base64"}
        items = app.http.post("/v1/embeddings", json=body).json()["data"]
        found = [np.frombuffer(base64.b64decode(item["embedding"]), "<f4") for item in items]
        np.testing.assert_array_equal(found, [vector(text) for text in texts])
        assert app.http.post("/v1/embeddings", json={"input": [*texts, "x"]}).status_code == 422


def test_ten_megabytes_of_one_word(start_app: StartApp) -> None:
    """A word as long as a body may be is one text, and others are answered after it."""
    word = "x" * (10 * 1024 * 1024 - 100)
    with start_app(FakeEmbedder(), max_payload_mb=10) as app:
        assert embeddings(app, input=word) == [is_vector_of(word)]
        assert embed(app, text="next") == {"embedding": is_vector_of(QUERY_INSTRUCTION + "next")}


def test_truncated_inputs_are_named(app: Running) -> None:
    """Which texts were cut is in the header and in the body."""
    texts = ["short", LONG, "short", LONG]
    for path, field in (("/v1/embeddings", "input"), ("/embed", "text")):
        reply = app.http.post(path, json={field: texts})
        assert reply.headers["x-embedding-truncated"] == "1,3"
        assert reply.json()["truncated"] == [1, 3]


def test_nothing_is_said_when_nothing_was_cut(app: Running) -> None:
    """Neither header nor field is there without a reason."""
    reply = app.http.post("/v1/embeddings", json={"input": "short"})

    assert "x-embedding-truncated" not in reply.headers
    assert "truncated" not in reply.json()


def test_usage_counts_what_was_read(app: Running) -> None:
    """Tokens beyond the model's length are not charged."""
    reply = app.http.post("/v1/embeddings", json={"input": LONG})

    assert reply.json()["usage"]["prompt_tokens"] == 6


def test_fingerprint_header(app: Running) -> None:
    """Every reply with vectors says in which space they are."""
    for path, field in (("/v1/embeddings", "input"), ("/embed", "text")):
        reply = app.http.post(path, json={field: "x"})
        assert reply.headers["x-embedding-fingerprint"] == "feedc0de"


def test_info(app: Running) -> None:
    """What is served, its limits, and that keys are needed; no canaries."""
    info = app.http.get("/info").json()

    assert info["model"] == "acme/tiny-model"
    assert (info["dimensions"], info["max_length"]) == (DIMENSIONS, 6)
    assert (info["query_instruction"], info["document_instruction"]) == (QUERY_INSTRUCTION, "")
    assert info["limits"] == {"max_payload_mb": 1, "max_inputs": 64, "max_wait_seconds": 30}
    assert info["fingerprint"] == "feedc0de"
    assert info["api_key_required"] is True
    assert "canaries" not in info


def test_no_cache_means_computed_anew(start_app: StartApp) -> None:
    """HTTP's own way to ask for no remembered answer works on both routes."""
    with start_app(FakeEmbedder()) as app:
        for _ in range(2):
            app.http.post("/embed", json={"text": "a"})
        for path, body in (("/embed", {"text": "a"}), ("/v1/embeddings", {"input": "b"})):
            app.http.post(path, json=body, headers={"Cache-Control": "no-cache"})
        assert app.http.get("/info").json()["cache"]["hits"] == 1


def test_info_says_how_it_is_doing(app: Running, embedder: FakeEmbedder) -> None:
    """Whether it is warm, what waits, and what the cache is worth."""
    embed(app, text="hello")
    embed(app, text="hello")
    embedder.gate.clear()
    embedder.started.acquire(timeout=30)
    busy = threading.Thread(target=embed, args=(app,), kwargs={"text": [f"{n}" for n in range(60)]})
    busy.start()
    embedder.started.acquire(timeout=30)
    info = app.http.get("/info").json()
    embedder.gate.set()
    busy.join(timeout=30)

    assert info["warm"] is False
    assert set(info["queue"]) == {"texts", "tokens", "seconds"}
    assert 0 < info["queue"]["texts"] < 60
    assert info["queue"]["tokens"] == 2 * info["queue"]["texts"]
    assert info["queue"]["seconds"] > 0
    assert (info["cache"]["hits"], info["cache"]["misses"]) == (1, 61)
    assert 0 < info["cache"]["bytes"] <= info["cache"]["max_bytes"]
    assert info["cpu"] == {}


@pytest.mark.parametrize("path", ["/", "/health", "/livez"])
def test_head(app: Running, path: str) -> None:
    """What monitors ask with HEAD is answered as GET is, without the body."""
    got, head = app.http.get(path), app.http.head(path)

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(got.content))


def test_health_and_livez_answer_while_the_model_computes(
    app: Running, embedder: FakeEmbedder
) -> None:
    """A busy worker does not keep monitors waiting."""
    embedder.gate.clear()
    busy = threading.Thread(target=embed, args=(app,), kwargs={"text": ["x"] * 64})
    busy.start()
    embedder.started.acquire(timeout=30)

    assert app.http.get("/health").json()["status"] == "healthy"
    assert app.http.get("/livez").status_code == 200
    assert busy.is_alive()
    embedder.gate.set()
    busy.join(timeout=30)


def test_health_while_stopping(app: Running) -> None:
    """Once the server is being stopped it is unhealthy, though alive, and refuses work."""
    app.service.stop()

    assert app.http.get("/health").status_code == 503
    assert app.http.get("/livez").status_code == 200
    refused = app.http.post("/embed", json={"text": "x"})
    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "stopping"
    assert int(refused.headers["retry-after"]) > 0


def test_openapi_describes_the_routes(app: Running) -> None:
    """The description has the bodies that are read by hand."""
    described = app.http.get("/openapi.json").json()
    body = described["paths"]["/v1/embeddings"]["post"]["requestBody"]["content"]

    assert body["application/json"]["schema"] == {"$ref": "#/components/schemas/OpenAIBody"}
    assert described["components"]["schemas"]["OpenAIBody"]["required"] == ["input"]
