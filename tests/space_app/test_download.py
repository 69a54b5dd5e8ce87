from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from fakes.runner import FakeRunner
from fakes.stranger import redirect, reply, stranger
from huggingface_hub import HfApi

from ops.hub import LocalHub
from space_app.core.errors import ExportError
from space_app.download import download, wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fakes.stranger import Asked

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
NEEDED = {
    "config.json",
    "modules.json",
    "tokenizer.json",
    "model.safetensors",
    "1_Pooling/config.json",
}


@pytest.fixture(name="endpoint", scope="module")
def _endpoint(minilm: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Hub on loopback with MiniLM, a model that has no weights, and somebody's own model.

    What it mirrors it hands out for every revision, hence the third.
    """
    bare = tmp_path_factory.mktemp("bare")
    (bare / "config.json").write_text("{}")
    mirrors = {MODEL: minilm, "acme/bare": bare}
    data = tmp_path_factory.mktemp("hub")
    with LocalHub(data, FakeRunner(), mirrors=mirrors) as hub:
        HfApi(endpoint=hub.endpoint, token=hub.token).create_repo("me/mine", private=False)
        yield hub.endpoint


def test_a_model_is_downloaded(endpoint: str, minilm: Path, tmp_path: Path) -> None:
    """What is needed arrives whole, nothing else does, and the commit is known."""
    snapshot = download(MODEL, "main", endpoint=endpoint, cache=tmp_path)

    files = {
        path.relative_to(snapshot.folder).as_posix()
        for path in snapshot.folder.rglob("*")
        if path.is_file()
    }
    assert files >= NEEDED
    assert "README.md" not in files
    weights = "model.safetensors"
    assert (snapshot.folder / weights).read_bytes() == (minilm / weights).read_bytes()
    assert len(snapshot.revision) == 40
    again = download(MODEL, snapshot.revision, endpoint=endpoint, cache=tmp_path)
    assert again == snapshot


@pytest.mark.parametrize(
    ("model", "revision", "complaint"),
    [
        ("acme/no-such-model", "main", "has no model acme/no-such-model"),
        ("me/mine", "no-such-branch", "has no revision no-such-branch"),
        ("acme/bare", "main", "acme/bare has no weights"),
        ("not/a/model", "main", "is no model id"),
    ],
)
def test_what_is_not_there(
    endpoint: str, tmp_path: Path, model: str, revision: str, complaint: str
) -> None:
    """A model, a revision or weights that are missing are named."""
    with pytest.raises(ExportError, match=complaint):
        download(model, revision, endpoint=endpoint, cache=tmp_path)


def test_no_hub(tmp_path: Path) -> None:
    """A Hub that does not answer is named, with what to check."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(ExportError, match=f"{endpoint} does not answer.*HF_ENDPOINT"):
        download(MODEL, "main", endpoint=endpoint, cache=tmp_path)


def test_one_format_of_the_weights() -> None:
    """Safetensors before pickles, module by module, and no other runtime's files."""
    names = [
        "1_Pooling/config.json",
        "2_Dense/pytorch_model.bin",
        "README.md",
        "model.safetensors",
        "onnx/config.json",
        "onnx/model.onnx",
        "openvino/openvino_model.bin",
        "pytorch_model.bin",
        "rust_model.ot",
        "tf_model.h5",
        "training_args.bin",
        "vocab.txt",
    ]

    assert wanted(names) == [
        "1_Pooling/config.json",
        "2_Dense/pytorch_model.bin",
        "model.safetensors",
        "vocab.txt",
    ]
    assert wanted(["pytorch_model.bin"]) == ["pytorch_model.bin"]


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: reply(b"{}"),
        lambda _: reply(b"[]"),
        lambda _: reply(b"<h1>Log in", Content_Type="text/html"),
        lambda _: reply(b"[" * 100_000),
        lambda _: reply(b"not zipped", Content_Encoding="gzip"),
        lambda asked: redirect(asked.path),
    ],
    ids=["object", "array", "page", "deep", "bad gzip", "circle"],
)
def test_what_is_no_hub(tmp_path: Path, answer: Callable[[Asked], bytes]) -> None:
    """It is told as that, and asked for nothing but the model."""
    with stranger(answer) as server:
        with pytest.raises(ExportError, match="did not answer like a Hugging Face Hub"):
            download(MODEL, "main", endpoint=server.origin, cache=tmp_path)
        assert {asked.path.partition("?")[0] for asked in server.asked} == {
            f"/api/models/{MODEL}/revision/main"
        }
