"""TEI's requests: POST /, /embed with `inputs`, /similarity and /tokenize."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from fakes.embedder import QUERY_INSTRUCTION, FailingEmbedder, vector

if TYPE_CHECKING:
    from conftest import Running, StartApp
    from fakes.embedder import FakeEmbedder

SECRET = "what somebody wrote to nobody else"
LONG = "one two three four five six seven eight"
SENTENCES = {"source_sentence": "a b", "sentences": ["c", "a b"]}


def answer(app: Running, path: str, **body: Any) -> Any:
    """What a request is answered."""
    reply = app.http.post(path, json=body)
    assert reply.status_code == 200, reply.text
    return reply.json()


def error_type(app: Running, path: str, status: int, **body: Any) -> str:
    """The type of an error, which has TEI's shape and holds nothing of the input."""
    reply = app.http.post(path, json=body)
    assert reply.status_code == status, reply.text
    assert SECRET not in reply.text
    assert set(reply.json()) == {"error", "error_type"}
    assert reply.json()["error"]
    return str(reply.json()["error_type"])


def is_vector_of(text: str) -> Any:
    """Equal to the vector of what the embedder is to get."""
    return pytest.approx(vector(text).tolist(), rel=1e-6)


@pytest.mark.parametrize("path", ["/", "/embed"])
@pytest.mark.parametrize("inputs", ["hello", ["hello"], ["hello", "world"]])
def test_inputs(app: Running, path: str, inputs: str | list[str]) -> None:
    """A bare list of vectors of documents, for one text by itself too."""
    texts = [inputs] if isinstance(inputs, str) else inputs

    assert answer(app, path, inputs=inputs) == [is_vector_of(text) for text in texts]


def test_options(app: Running) -> None:
    """What LlamaIndex and InferenceClient send besides is understood."""
    assert answer(
        app, "/", inputs=LONG, truncate=True, truncation_direction="Left", normalize=True
    ) == [is_vector_of("three four five six seven eight")]
    assert answer(app, "/", inputs="x", prompt_name="query") == [
        is_vector_of(f"{QUERY_INSTRUCTION}x")
    ]
    assert len(answer(app, "/", inputs="x", dimensions=2)[0]) == 2


def test_truncated_inputs_are_in_the_header(app: Running) -> None:
    """A bare list has no room for it."""
    reply = app.http.post("/embed", json={"inputs": ["x", LONG]})

    assert reply.headers["x-embedding-truncated"] == "1"
    assert reply.headers["x-embedding-fingerprint"] == "feedc0de"


@pytest.mark.parametrize("path", ["/", "/embed"])
@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"inputs": ""}, 400, "Empty"),
        ({"inputs": []}, 400, "Empty"),
        ({"inputs": 5}, 422, "Validation"),
        ({"inputs": [[SECRET]]}, 422, "Validation"),
        ({"inputs": ["x"] * 65}, 422, "Validation"),
        ({"inputs": SECRET, "prompt_name": SECRET}, 422, "Validation"),
        ({"inputs": SECRET, "normalize": False}, 422, "Validation"),
        ({"inputs": SECRET, "encoding_format": "base64"}, 422, "Validation"),
        ({"inputs": LONG, "truncate": False}, 422, "Validation"),
        ({"inputs": [1, 2]}, 400, "Validation"),
        ({"inputs": [[1, 2], [3]]}, 400, "Validation"),
    ],
)
def test_errors(app: Running, path: str, body: dict[str, Any], status: int, kind: str) -> None:
    """Whatever is wrong with `inputs` is told in TEI's shape."""
    assert error_type(app, path, status, **body) == kind


def test_unnormalised_vectors_are_refused_with_the_switch(app: Running) -> None:
    """Who asks for them is told how not to."""
    reply = app.http.post("/", json={"inputs": "x", "normalize": False})

    assert "normalize=True" in reply.json()["error"]


def test_token_numbers_are_not_read(app: Running, embedder: FakeEmbedder) -> None:
    """Numbers of a vocabulary that nobody knows are no text."""
    app.http.post("/embed", json={"inputs": [[1, 2]]})

    assert embedder.read == []


def test_a_failure_inside(start_app: StartApp) -> None:
    """It is the backend's, as TEI calls it."""
    with start_app(FailingEmbedder()) as app:
        assert error_type(app, "/", 500, inputs=SECRET) == "Backend"
        assert error_type(app, "/embed", 500, inputs=SECRET) == "Backend"


def test_while_stopping(app: Running) -> None:
    """A server that ends is unhealthy."""
    app.service.stop()

    assert error_type(app, "/embed", 503, inputs="x") == "Unhealthy"


@pytest.mark.parametrize("path", ["/", "/tokenize", "/similarity"])
def test_errors_before_the_body_is_read(app: Running, path: str) -> None:
    """On TEI's own routes the shape is its own whatever the body is."""
    for content, status in ((b"{", 400), (b"[]", 422), (b"x" * (1024 * 1024 + 1), 413)):
        reply = app.http.post(path, content=content)
        assert (reply.status_code, set(reply.json())) == (status, {"error", "error_type"})


@pytest.mark.parametrize("path", ["/similarity", "/"])
def test_similarity(app: Running, path: str) -> None:
    """The cosine of the first with each; at the root too, where huggingface_hub asks for it."""
    found = answer(app, path, inputs=SENTENCES, parameters={})

    assert found == pytest.approx([float(vector("a b") @ vector("c")), 1], abs=1e-6)


def test_similarity_with_a_prompt(app: Running) -> None:
    """As in TEI it is put before all of them."""
    answer(app, "/similarity", inputs=SENTENCES, parameters={"prompt_name": "query"})

    assert error_type(app, "/similarity", 422, inputs=SENTENCES, parameters={"prompt_name": "x"})


@pytest.mark.parametrize(
    ("inputs", "status", "kind"),
    [
        ({"source_sentence": "a", "sentences": []}, 400, "Empty"),
        ({"source_sentence": "", "sentences": ["a"]}, 400, "Empty"),
        ({"source_sentence": SECRET}, 422, "Validation"),
        ({"source_sentence": SECRET, "sentences": SECRET}, 422, "Validation"),
        ({"source_sentence": "a", "sentences": ["a"] * 64}, 422, "Validation"),
    ],
)
def test_wrong_similarity(app: Running, inputs: dict[str, Any], status: int, kind: str) -> None:
    """Each is told in TEI's shape."""
    assert error_type(app, "/similarity", status, inputs=inputs) == kind


def test_tokenize(app: Running) -> None:
    """Every token, its number and whereabouts; special ones have none."""
    special = {"id": 0, "text": "[CLS]", "special": True, "start": None, "stop": None}
    token = {"id": 2, "text": "ab", "special": False, "start": 0, "stop": 1}

    assert answer(app, "/tokenize", inputs="ab") == [[special, token]]
    assert answer(app, "/tokenize", inputs=["ab"], add_special_tokens=False) == [[token]]
    words = [one["text"] for one in answer(app, "/tokenize", inputs=LONG)[0][1:]]
    assert words == LONG.split()


def test_tokenize_with_a_prompt(app: Running) -> None:
    """The instruction is shown as it is read."""
    (found,) = answer(app, "/tokenize", inputs="ab", prompt_name="query", add_special_tokens=False)

    assert [one["text"] for one in found] == ["query:", "ab"]


def test_too_much_to_tokenize(start_app: StartApp, embedder: FakeEmbedder) -> None:
    """Each character may be a token, and each token is a hundred bytes of reply."""
    with start_app(embedder, max_payload_mb=2) as app:
        assert error_type(app, "/tokenize", 422, inputs="x" * 500_001) == "Validation"
        assert error_type(app, "/tokenize", 400, inputs=["x", ""]) == "Empty"
        assert error_type(app, "/tokenize", 422, inputs=["x"] * 65) == "Validation"
