from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Literal

import pytest
import torch
from fakes.runner import FakeRunner
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from tiny_models import tiny_model
from transformers import AutoTokenizer, BertConfig, BertModel

from ops.hub import LocalHub
from space_app import backends
from space_app.core import manifest
from space_app.core.errors import ExportError
from space_app.export import export, require_room
from space_app.model_file import ModelSpec

if TYPE_CHECKING:
    from pathlib import Path

QUERY_INSTRUCTION = "query: "


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command, as the image's builder stage runs it."""
    return subprocess.run(
        [sys.executable, "-m", "space_app.export", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env=os.environ | environment,
    )


def linked(source: Path, target: Path) -> Path:
    """A copy of a model's folder that costs no disk."""
    shutil.copytree(source, target, copy_function=os.symlink, ignore=shutil.ignore_patterns("*.md"))
    return target


def test_the_manifest_says_what_was_exported(artefact: Path, minilm: Path) -> None:
    """Model, pooling, instructions, sizes, libraries, quality and canaries are in the manifest."""
    found = manifest.read(artefact)

    assert (found.model, found.revision) == (minilm.name, None)
    assert (found.backend, found.precision, found.pooling) == ("openvino", "int8", "mean")
    assert (found.dimensions, found.max_length) == (384, 256)
    assert (found.query_instruction, found.document_instruction) == (QUERY_INSTRUCTION, "")
    assert found.libraries["torch"].startswith("2.13")
    assert found.libraries["openvino"]
    assert found.canaries[0].text.startswith(QUERY_INSTRUCTION)
    assert all(len(canary.vector) == 384 for canary in found.canaries)


def test_int8_keeps_the_quality(artefact: Path) -> None:
    """What ships was measured, over many texts, above what the project promises."""
    found = manifest.read(artefact)

    assert found.refused == ()
    assert found.quality is not None
    assert found.quality.texts >= 100
    assert found.quality.cosine_mean >= 0.995
    assert found.quality.cosine_min >= 0.97
    assert found.quality.rank >= 0.99


def test_the_artefact_can_be_read_by_another_user(artefact: Path) -> None:
    """No file is for its owner alone."""
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in artefact.rglob("*"))


def test_from_a_hub(artefact: Path, minilm: Path, tmp_path: Path) -> None:
    """From a Hub: the commit is recorded, and the same weights have the same fingerprint."""
    model = "sentence-transformers/all-MiniLM-L6-v2"
    spec = tmp_path / "model.toml"
    spec.write_text(f'id = "{model}"\nquery_instruction = "{QUERY_INSTRUCTION}"\n')
    with LocalHub(tmp_path / "hub", FakeRunner(), mirrors={model: minilm}) as hub:
        done = run(
            spec, tmp_path / "out", HF_ENDPOINT=hub.endpoint, HF_HOME=str(tmp_path / "cache")
        )

    assert done.returncode == 0, done.stderr
    found = manifest.read(tmp_path / "out")
    assert (found.model, len(found.revision or "")) == (model, 40)
    assert found.fingerprint == manifest.read(artefact).fingerprint
    assert found.fingerprint in done.stderr


@pytest.mark.parametrize("backend", ["openvino", "torch"])
def test_max_length_is_lowered(
    artefact: Path, minilm: Path, tmp_path: Path, backend: Literal["openvino", "torch"]
) -> None:
    """A lower max_length is what the saved model truncates at, and another fingerprint."""
    made = export(
        ModelSpec(
            id=str(minilm),
            backend=backend,
            precision="fp32",
            query_instruction=QUERY_INSTRUCTION,
            max_length=16,
        ),
        tmp_path / "out",
    )
    embedder = backends.load(tmp_path / "out", made, threads=1)

    assert made.max_length == 16
    assert len(embedder.encode(["word " * 20])[0]) == 16
    assert made.fingerprint != manifest.read(artefact).fingerprint


def test_max_length_is_not_raised(minilm: Path, tmp_path: Path) -> None:
    """More than the model reads is refused with both numbers, and nothing is left."""
    with pytest.raises(ExportError, match=r"max_length is 512, but .* 256 tokens"):
        export(ModelSpec(id=str(minilm), max_length=512), tmp_path / "out")

    assert list(tmp_path.iterdir()) == []


def test_an_artefact_is_replaced_when_the_new_one_is_complete(
    artefact: Path, minilm: Path, tmp_path: Path
) -> None:
    """OUT stays as it was when an export fails, and is replaced whole when it does not."""
    out = linked(artefact, tmp_path / "out")
    (out / "left-over").touch()
    with pytest.raises(ExportError):
        export(ModelSpec(id=str(minilm), max_length=512), out)
    assert (out / "left-over").is_file()

    export(ModelSpec(id=str(minilm), precision="fp32"), out)

    assert not (out / "left-over").exists()
    assert manifest.read(out).query_instruction == ""
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_of_somebody_elses_is_not_replaced(minilm: Path, tmp_path: Path) -> None:
    """OUT with anything else in it is refused before any work."""
    (tmp_path / "thesis.txt").write_text("all my work")

    with pytest.raises(ExportError, match="is no artefact"):
        export(ModelSpec(id=str(minilm)), tmp_path)
    assert (tmp_path / "thesis.txt").is_file()


def test_no_sentence_transformers_model(minilm: Path, tmp_path: Path) -> None:
    """Without modules.json nobody knows the pooling: refused, not guessed."""
    bare = linked(minilm, tmp_path / "bare")
    (bare / "modules.json").unlink()

    with pytest.raises(ExportError, match="not a sentence-transformers model"):
        export(ModelSpec(id=str(bare)), tmp_path / "out")


def test_no_pooling(minilm: Path, tmp_path: Path) -> None:
    """A model without one pooling is refused with what it is made of."""
    odd = linked(minilm, tmp_path / "odd")
    modules = json.loads((odd / "modules.json").read_text())
    (odd / "modules.json").unlink()
    (odd / "modules.json").write_text(json.dumps(modules[:1]))

    with pytest.raises(ExportError, match="made of Transformer"):
        export(ModelSpec(id=str(odd)), tmp_path / "out")


def test_another_architecture(tmp_path: Path) -> None:
    """It is refused by its name, with the backend that has it."""
    model = tiny_model(tmp_path, "modernbert")

    with pytest.raises(ExportError, match="architecture is modernbert") as caught:
        export(ModelSpec(id=str(model)), tmp_path / "out")

    assert 'backend = "torch"' in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_another_pooling(minilm: Path, tmp_path: Path) -> None:
    """It is refused by its name, with the backend that has it."""
    odd = linked(minilm, tmp_path / "odd")
    config = json.loads((odd / "1_Pooling/config.json").read_text())
    (odd / "1_Pooling/config.json").unlink()
    (odd / "1_Pooling/config.json").write_text(
        json.dumps(config | {"pooling_mode_max_tokens": True})
    )

    with pytest.raises(ExportError, match="pooling is") as caught:
        export(ModelSpec(id=str(odd)), tmp_path / "out")

    assert 'backend = "torch"' in str(caught.value)


def test_too_far_away_is_not_shipped(minilm: Path, tmp_path: Path) -> None:
    """A model that int8 does not suit is exported in the next safer precision, and that is said."""
    done = run(sensitive(tmp_path, minilm), tmp_path / "out")

    assert done.returncode == 0, done.stderr
    found = manifest.read(tmp_path / "out")
    assert found.precision == "bf16"
    assert found.quality is not None
    assert found.quality.cosine_min > 0.97 > found.refused[0].quality.cosine_min
    assert [refused.precision for refused in found.refused] == ["int8"]
    assert "too far away" in done.stderr


def sensitive(folder: Path, minilm: Path) -> Path:
    """A small model whose random weights are so large that little changes become big ones."""
    torch.manual_seed(0)
    config = BertConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        vocab_size=30522,
        initializer_range=0.5,
    )
    BertModel(config).save_pretrained(folder / "bert")
    AutoTokenizer.from_pretrained(minilm).save_pretrained(folder / "bert")
    encoder = Transformer(str(folder / "bert"), max_seq_length=64)
    model = SentenceTransformer(modules=[encoder, Pooling(32, pooling_mode="cls")])
    model.save_pretrained(str(folder / "model"), create_model_card=False)
    return folder / "model"


def test_instructions_outside_the_pooling(minilm: Path, tmp_path: Path) -> None:
    """A model that pools without its prompt is refused where there would be one."""
    odd = linked(minilm, tmp_path / "odd")
    pooling = odd / "1_Pooling/config.json"
    config = json.loads(pooling.read_text()) | {"include_prompt": False}
    pooling.unlink()
    pooling.write_text(json.dumps(config))

    with pytest.raises(ExportError, match="leaves instructions out"):
        export(ModelSpec(id=str(odd), query_instruction="q: "), tmp_path / "out")


def test_no_room(tmp_path: Path) -> None:
    """A model that does not fit on the disk is refused with both sizes."""
    with pytest.raises(ExportError, match="MB are free"):
        require_room(tmp_path, 2**60)


@pytest.mark.parametrize(
    ("model", "complaint"),
    [("no-such.toml", "cannot be read"), ("wrong.toml", "precision"), ("a/b/c", "no model id")],
)
def test_a_failure_is_one_line_and_exit_code_1(tmp_path: Path, model: str, complaint: str) -> None:
    """The command says what is wrong without a trace, and leaves nothing behind."""
    (tmp_path / "wrong.toml").write_text('id = "a/b"\nprecision = "int1"\n')
    source = tmp_path / model if model.endswith(".toml") else model
    done = run(source, tmp_path / "out")

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
