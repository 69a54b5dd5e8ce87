from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import edit, rewrite, tiny_model

from space_app.backends.torch import TorchEmbedder
from space_app.core.errors import ArtefactError, ExportError
from space_app.export import export
from space_app.model_file import ModelSpec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from space_app.core.manifest import Manifest

    Weights = dict[str, torch.Tensor]

LAYER = "encoder.layer.1.attention.self.query.weight"


@pytest.fixture(name="model")
def _model(tmp_path: Path) -> Path:
    return tiny_model(tmp_path)


def made(model: Path, backend: Literal["openvino", "torch"] = "torch") -> Manifest:
    """What an export makes of a model, in fp32."""
    spec = ModelSpec(id=str(model), backend=backend, precision="fp32")
    return export(spec, model.parent / "out")


def renamed(weights: Weights) -> Weights:
    """A weight under a name that nobody looks for."""
    return {key.replace(LAYER, "encoder.layer.1.query"): each for key, each in weights.items()}


def halved(weights: Weights) -> Weights:
    """A weight of another shape."""
    return weights | {LAYER: weights[LAYER][:16].clone()}


def without_layer(weights: Weights) -> Weights:
    """The last layer is cut off."""
    return {key: each for key, each in weights.items() if "layer.1." not in key}


def with_layer(weights: Weights) -> Weights:
    """One layer more than the config has."""
    more = {k.replace("layer.1.", "layer.2."): each.clone() for k, each in weights.items()}
    return weights | more


def with_own_part(weights: Weights) -> Weights:
    """Something that only the authors' own code would compute with."""
    return weights | {"embeddings.projection.weight": torch.ones(4, 4)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (renamed, f"missing: {LAYER}"),
        (without_layer, "missing: encoder.layer.1.attention.output.LayerNorm.bias, .* and 11 more"),
        (halved, rf"of another shape: {LAYER} \(16x32 instead of 32x32\)"),
        (with_layer, "unknown to this architecture: encoder.layer.2.attention"),
        (with_own_part, "unknown to this architecture: embeddings.projection.weight"),
    ],
)
def test_weights_that_do_not_fit_end_the_export(
    model: Path, change: Callable[[Weights], Weights], said: str
) -> None:
    """None is drawn at random or left out: they are named, and nothing is left behind."""
    rewrite(model / "model.safetensors", change)

    with pytest.raises(ArtefactError, match=said):
        made(model)
    assert not (model.parent / "out").exists()


def test_the_openvino_backend_does_not_convert_them_either(model: Path) -> None:
    """The same model is refused by either export."""
    rewrite(model / "model.safetensors", renamed)

    with pytest.raises(ArtefactError, match=f"missing: {LAYER}"):
        made(model, "openvino")


def test_a_config_that_has_fewer_layers(model: Path) -> None:
    """What the files hold beyond that is named."""
    edit(model / "config.json", num_hidden_layers=1)

    with pytest.raises(ArtefactError, match=r"unknown to this architecture: encoder\.layer\.1"):
        made(model)


def test_other_shapes_are_not_allowed_by_the_model_itself(model: Path) -> None:
    """A file that asks the loader to overlook them is not obeyed."""
    rewrite(model / "model.safetensors", halved)
    edit(model / "sentence_bert_config.json", model_args={"ignore_mismatched_sizes": True})

    with pytest.raises(ArtefactError, match="of another shape"):
        made(model)


def test_pickled_weights(model: Path) -> None:
    """PyTorch's own format is looked at as well."""
    weights = renamed(load_file(model / "model.safetensors"))
    (model / "model.safetensors").unlink()
    torch.save(weights, model / "pytorch_model.bin")

    with pytest.raises(ArtefactError, match=f"missing: {LAYER}"):
        made(model)


@pytest.mark.parametrize("damage", [b"", b"garbage" * 100])
@pytest.mark.parametrize("folder", ["", "2_Dense"])
def test_damaged_pickles(tmp_path: Path, folder: str, damage: bytes) -> None:
    """Files that are no weights at all are a message."""
    model = tiny_model(tmp_path, dense=True)
    (model / folder / "model.safetensors").unlink()
    (model / folder / "pytorch_model.bin").write_bytes(damage)

    with pytest.raises(ArtefactError, match="does not load"):
        made(model)


@pytest.mark.parametrize("backend", ["openvino", "torch"])
@pytest.mark.parametrize("value", [torch.nan, 0])
def test_weights_that_make_no_vector(
    model: Path, value: float, backend: Literal["openvino", "torch"]
) -> None:
    """A model that computes something else than numbers, or only zeros, is refused."""
    rewrite(
        model / "model.safetensors",
        lambda weights: {key: torch.full_like(each, value) for key, each in weights.items()},
    )

    with pytest.raises(ExportError, match="no vector"):
        made(model, backend)


def test_weights_in_several_files(model: Path) -> None:
    """One that none of the files has is missing; with all of them the model is complete."""
    weights = load_file(model / "model.safetensors")
    (model / "model.safetensors").unlink()
    halves = sorted(weights)[::2], sorted(weights)[1::2]
    for number, keys in enumerate(halves):
        save_file({key: weights[key] for key in keys}, model / f"part-{number}.safetensors")
    index = {
        key: f"part-{number}.safetensors" for number, keys in enumerate(halves) for key in keys
    }
    where = model / "model.safetensors.index.json"
    where.write_text(json.dumps({"metadata": {}, "weight_map": index}))

    assert made(model).dimensions == 32
    first = load_file(model / index[LAYER])
    first.pop(LAYER)
    save_file(first, model / index[LAYER])
    with pytest.raises(ArtefactError, match=f"missing: {LAYER}"):
        made(model)


def test_a_dense_module_without_its_weights(tmp_path: Path) -> None:
    """What sentence-transformers loads itself is complete, too."""
    model = tiny_model(tmp_path, dense=True)
    rewrite(model / "2_Dense/model.safetensors", lambda weights: {"bias": weights["linear.bias"]})

    with pytest.raises(ArtefactError, match=r'"linear\.weight"'):
        made(model)


def head(weights: Weights) -> Weights:
    """What is left of a training by masked words."""
    more = {
        "cls.predictions.bias": torch.ones(4),
        "cls.predictions.transform.dense.weight": torch.ones(4, 4),
        "cls.seq_relationship.weight": torch.ones(2, 4),
        "lm_head.dense.weight": torch.ones(4, 4),
        "embeddings.position_ids": torch.arange(512)[None],
    }
    return weights | more


def as_in_a_bigger_model(weights: Weights) -> Weights:
    """All names with the encoder's before them, and a head beside it."""
    return head({f"bert.{key}": each for key, each in weights.items()})


def without_pooler(weights: Weights) -> Weights:
    """No vector is computed by the pooler of BERT."""
    return {key: each for key, each in weights.items() if not key.startswith("pooler.")}


def old_names(weights: Weights) -> Weights:
    """As TensorFlow named them."""
    for new, old in (("weight", "gamma"), ("bias", "beta")):
        weights = {
            key.replace(f"LayerNorm.{new}", f"LayerNorm.{old}"): each
            for key, each in weights.items()
        }
    return weights


@pytest.mark.parametrize("change", [head, as_in_a_bigger_model, without_pooler, old_names])
def test_what_is_no_part_of_the_encoder_does_not_count(
    model: Path, change: Callable[[Weights], Weights]
) -> None:
    """Heads, poolers and counting buffers, which many published models have or lack, are fine."""
    wanted = made(model).canaries[0].vector
    rewrite(model / "model.safetensors", change)

    assert made(model).canaries[0].vector == pytest.approx(wanted, abs=1e-6)


def test_a_torch_artefact_is_looked_at_when_it_is_loaded(model: Path) -> None:
    """A server does not start over weights that are drawn at random, whatever wrote them."""
    made(model)
    out = model.parent / "out"
    rewrite(out / "model.safetensors", renamed)

    with pytest.raises(ArtefactError, match=f"missing: {LAYER}"):
        TorchEmbedder.load(out, max_length=512, threads=1)
