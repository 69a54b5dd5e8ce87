from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx2
import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Router
from server_process import started
from tiny_models import edit, tiny_model

from space_app import backends
from space_app.core.errors import ExportError
from space_app.export import export
from space_app.model_file import ModelSpec

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = "config_sentence_transformers.json"
PROMPTS = {"query": "Find: ", "document": "title: none | ", "passage": "p: ", "cluster": "c: "}


@pytest.fixture(name="model")
def _model(tmp_path: Path) -> Path:
    return tiny_model(tmp_path)


def without_normalize(model: Path) -> None:
    """The model's vectors are of any length."""
    (model / "modules.json").write_text(
        json.dumps(json.loads((model / "modules.json").read_text())[:2])
    )


@pytest.mark.parametrize(
    ("file", "change", "named"),
    [
        (CONFIG, {"truncate_dim": 8}, "truncate_dim is 8"),
        (CONFIG, {"model_type": "SparseEncoder"}, "model_type is 'SparseEncoder'"),
        (CONFIG, {"query_prefix": "[Q] "}, "has query_prefix"),
        (CONFIG, {"query_length": 32}, "has query_length"),
        (CONFIG, {"prompts": {"query": ["Find: "]}}, "the prompt 'query' is not a text"),
        ("sentence_bert_config.json", {"query_length": 32}, "query_length is 32"),
        ("sentence_bert_config.json", {"document_length": 16}, "document_length is 16"),
        (
            "sentence_bert_config.json",
            {"query_expansion": {"strategy": "fixed", "length": 32, "attend": True}},
            "query_expansion is",
        ),
        (
            "sentence_bert_config.json",
            {"processing_kwargs": {"text": {"max_length": 16}}},
            "processing_kwargs is",
        ),
        (
            "sentence_bert_config.json",
            {
                "modality_config": {
                    "text": {"method": "forward", "method_output_name": "pooler_output"}
                }
            },
            "modality_config",
        ),
        ("sentence_bert_config.json", {"transformer_task": "fill-mask"}, "transformer_task is"),
        ("tokenizer_config.json", {"truncation_side": "left"}, "truncation_side is 'left'"),
        ("tokenizer_config.json", {"split_special_tokens": True}, "split_special_tokens is true"),
    ],
)
def test_what_is_not_done_is_refused_by_its_name(
    model: Path, file: str, change: dict[str, Any], named: str
) -> None:
    """A setting of the model's files is never dropped without a word."""
    edit(model / file, **change)

    with pytest.raises(ExportError, match="asks for what this server does not do") as caught:
        export(ModelSpec(id=str(model), backend="torch"), model.parent / "out")
    assert named in str(caught.value)


def test_lengths_that_carry_a_meaning(model: Path) -> None:
    """Vectors of length 1 would rank otherwise than the dot product of the model's own."""
    edit(model / CONFIG, similarity_fn_name="dot")
    spec = ModelSpec(id=str(model), backend="torch")
    export(spec, model.parent / "out")  # its last module is Normalize

    without_normalize(model)
    with pytest.raises(ExportError, match="similarity_fn_name is 'dot'"):
        export(spec, model.parent / "out")
    edit(model / CONFIG, similarity_fn_name="cosine")
    export(spec, model.parent / "out")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"activation_function": "acme.modules.Swish"}, "activation_function 'acme.modules.Swish'"),
        ({"scale": 2}, "Dense has scale"),
    ],
)
def test_a_dense_module_of_another_kind(tmp_path: Path, change: dict[str, Any], named: str) -> None:
    """What sentence-transformers only warns of, and computes otherwise, is refused."""
    model = tiny_model(tmp_path, dense=True)
    spec = ModelSpec(id=str(model), backend="torch")
    export(spec, tmp_path / "out")

    edit(model / "2_Dense/config.json", **change)
    with pytest.raises(ExportError, match=named):
        export(spec, tmp_path / "out")


def test_routes(model: Path) -> None:
    """A model that sends queries and documents different ways is refused as what it is."""
    whole = SentenceTransformer(str(model), device="cpu")
    router = Router.for_query_document([whole[0]], [whole[0]])
    routed = model.parent / "routed"
    made = SentenceTransformer(modules=[router, whole[1]], device="cpu")
    made.save_pretrained(str(routed), create_model_card=False)

    with pytest.raises(ExportError, match="a module is Router"):
        export(ModelSpec(id=str(routed), backend="torch"), model.parent / "out")


def test_prompts_are_the_instructions(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Over HTTP, a query and a document have the vectors of the model's own encode_… for them."""
    edit(model / CONFIG, prompts=PROMPTS)
    made = export(ModelSpec(id=str(model), precision="fp32"), model.parent / "out")
    text = "how do I reset my password?"
    with started(model.parent / "out") as server:
        server.wait_until_healthy()
        with httpx2.Client(base_url=server.url, trust_env=False) as http:
            query = http.post("/embed", json={"text": text}).json()["embedding"]
            found = http.post("/v1/embeddings", json={"input": text, "model": "m"}).json()
    reference = SentenceTransformer(str(model), device="cpu")

    assert (made.query_instruction, made.document_instruction) == ("Find: ", "title: none | ")
    np.testing.assert_allclose(query, reference.encode_query(text), atol=1e-5)
    np.testing.assert_allclose(
        found["data"][0]["embedding"], reference.encode_document(text), atol=1e-5
    )
    assert "nothing is put before: cluster, passage" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "query", "document"),
    [
        ({}, "Find: ", "title: none | "),
        ({"query_instruction": ""}, "", "title: none | "),
        ({"query_instruction": "q: ", "document_instruction": ""}, "q: ", ""),
    ],
)
def test_model_toml_has_the_last_word(
    model: Path, given: dict[str, str], query: str, document: str
) -> None:
    """An instruction that is set is taken as it is, and an empty one means none."""
    edit(model / CONFIG, prompts=PROMPTS)
    spec = ModelSpec(id=str(model), backend="torch", **given)  # type: ignore[arg-type]
    made = export(spec, model.parent / "out")

    assert (made.query_instruction, made.document_instruction) == (query, document)


def test_the_prompt_of_texts_without_a_role(model: Path) -> None:
    """A default prompt that documents have not is refused, unless model.toml decides."""
    edit(model / CONFIG, prompts=PROMPTS, default_prompt_name="cluster")
    out = model.parent / "out"
    with pytest.raises(ExportError, match="default_prompt_name is 'cluster'"):
        export(ModelSpec(id=str(model), backend="torch"), out)

    decided = {"query_instruction": "", "document_instruction": "c: "}
    assert export(ModelSpec(id=str(model), backend="torch", **decided), out)  # type: ignore[arg-type]
    edit(model / CONFIG, default_prompt_name="document")
    assert export(ModelSpec(id=str(model), backend="torch"), out).document_instruction


def test_a_fingerprint_tells_instructions_not_where_they_come_from(model: Path) -> None:
    """The model's own prompt and the same one in model.toml make the same artefact."""
    spelt_out = ModelSpec(
        id=str(model), precision="fp32", query_instruction="q: ", document_instruction=""
    )
    wanted = export(spelt_out, model.parent / "out").fingerprint
    edit(model / CONFIG, prompts={"query": "q: "})

    own = export(ModelSpec(id=str(model), precision="fp32"), model.parent / "out")
    assert own.fingerprint == wanted


def test_the_torch_backend_keeps_the_limit(tmp_path: Path) -> None:
    """The limit is the export's, also where a saved model is loaded with a smaller one."""
    model = tiny_model(tmp_path, "modernbert", max_position_embeddings=32)  # it has no table
    edit(model / "sentence_bert_config.json", max_seq_length=48)
    made = export(ModelSpec(id=str(model), backend="torch"), tmp_path / "out")
    embedder = backends.load(tmp_path / "out", made, threads=1)

    assert made.max_length == 48
    assert len(embedder.encode(["word " * 100])[0]) == 48


@pytest.mark.parametrize(("kind", "table", "most"), [("bert", 64, 64), ("xlm-roberta", 66, 64)])
def test_the_limit_is_what_there_are_positions_for(
    tmp_path: Path, kind: str, table: int, most: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """A larger one is lowered, and said; a larger max_length is refused with the right number."""
    model = tiny_model(tmp_path, kind, max_position_embeddings=table)
    edit(model / "sentence_bert_config.json", max_seq_length=1024)
    for backend in ("openvino", "torch"):
        made = export(
            ModelSpec(id=str(model), backend=backend, precision="fp32"),  # type: ignore[arg-type]
            tmp_path / backend,
        )
        embedder = backends.load(tmp_path / backend, made, threads=1)
        short, long = embedder.encode(["short", "word " * 1000])
        vectors = embedder.embed([[short], [long]])
        reference = SentenceTransformer(str(model), device="cpu")
        reference.max_seq_length = most

        assert (made.max_length, len(long)) == (most, most)
        assert f"limit of 1024 tokens is lowered to the {most}" in capsys.readouterr().err
        np.testing.assert_allclose(vectors, reference.encode(["short", "word " * 1000]), atol=1e-5)
        with pytest.raises(ExportError, match=f"max_length is {most + 1}, .* reads {most} tokens"):
            export(
                ModelSpec(id=str(model), backend=backend, max_length=most + 1),  # type: ignore[arg-type]
                tmp_path / "more",
            )


@pytest.mark.parametrize("backend", ["openvino", "torch"])
@pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
def test_special_tokens_within_a_text(tmp_path: Path, kind: str, backend: str) -> None:
    """A user's literal `<pad>` or `[CLS]` does what it does in sentence-transformers."""
    model = tiny_model(tmp_path, kind)
    made = export(
        ModelSpec(id=str(model), backend=backend, precision="fp32"),  # type: ignore[arg-type]
        tmp_path / "out",
    )
    embedder = backends.load(tmp_path / "out", made, threads=1)
    reference = SentenceTransformer(str(model), device="cpu")
    names = sorted(reference.tokenizer.all_special_tokens)
    texts = [f"how do I {name} reset{name} my password?{name}" for name in names]

    assert len(names) == 5
    for text in texts:
        wanted = reference.encode([text])[0]
        beside = embedder.encode(["something else", text])
        np.testing.assert_allclose(embedder.embed([beside])[1], wanted, atol=1e-5, err_msg=text)
        np.testing.assert_allclose(embedder.embed([beside[1:]])[0], wanted, atol=1e-5, err_msg=text)
