from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fakes.embedder import FakeEmbedder, fake_manifest

from space_app.core import canaries, manifest
from space_app.core.errors import ArtefactError
from space_app.core.manifest import Compiled, Manifest, Quality, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator

RECORDED = Path(__file__).parents[2] / "data/exported_with_0.1"
HUGE = "9" * 5000
VALUES = [
    *("null", "true", '"x"', '""', "-1", "0", "0.5", "1e30", "[]", "{}", "[[[]]]", '"\\ud800"'),
    *("NaN", "Infinity", "-Infinity", "1e999", HUGE, "[" * 5000 + "]" * 5000),
]
"""Any of them may stand where something else belongs."""


def complete(**changes: object) -> Manifest:
    """A manifest with everything in it that there may be."""
    quality = Quality(texts=3, cosine_mean=0.99, cosine_min=0.9, rank=0.95)
    return canaries.with_exported(
        FakeEmbedder(),
        fake_manifest(
            quality=quality,
            refused=(Refused(precision="int8", quality=quality),),
            compiled=Compiled(made_for=("a", "b"), sha256="c"),
            **changes,
        ),
    )


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """A manifest survives the file, its vectors and its measured quality included."""
    written = complete(query_instruction="Frage: ö ")
    manifest.write(written, tmp_path)

    assert manifest.read(tmp_path) == written


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"dimensions": 0}, "dimensions"),
        ({"canaries": []}, "canaries"),
        ({"format": 1}, "format"),
        ({"fingerprint": None}, "fingerprint"),
        ({"precision": "int4"}, "precision"),
        ({"arithmetic": "fp8"}, "arithmetic"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, change: dict[str, object], named: str) -> None:
    """A manifest that cannot be used is refused by the field that is wrong."""
    values = json.loads(complete().model_dump_json()) | change
    (tmp_path / manifest.FILE_NAME).write_text(json.dumps(values))

    with pytest.raises(ArtefactError, match=named):
        manifest.read(tmp_path)


@pytest.mark.parametrize("content", [None, "{"])
def test_no_manifest(tmp_path: Path, content: str | None) -> None:
    """A folder without one, or with half of one, is no artefact, and the error says what to run."""
    if content is not None:
        (tmp_path / manifest.FILE_NAME).write_text(content)

    with pytest.raises(ArtefactError, match=r"space_app\.export"):
        manifest.read(tmp_path)


def test_the_manifest_of_the_first_edition() -> None:
    """What version 0.1 wrote is read, with all that decides its vectors."""
    found = manifest.read(RECORDED)

    assert (found.fingerprint, found.dimensions, found.max_length) == ("be8aec1fac7e081a", 384, 256)
    assert found.decisions == {
        "backend": "openvino",
        "precision": "int8",
        "arithmetic": "mixed",
        "normalise": True,
        "query_instruction": "query: ",
        "document_instruction": "",
        "max_length": 256,
    }
    assert len(found.canaries) == 5


def test_any_damage_is_one_message(tmp_path: Path) -> None:
    """A field that is gone or another thing is refused in one line, or the self-check passes."""
    good = json.loads(complete().model_dump_json())
    for place in places(good):
        for value in (None, *VALUES):
            (tmp_path / manifest.FILE_NAME).write_text(damaged(good, place, value))
            try:
                lowest = canaries.check(FakeEmbedder(), manifest.read(tmp_path))
            except ArtefactError as error:
                lowest, said = 1, str(error)
            else:
                said = ""
            assert lowest > 0.99, (place, value)
            assert "\n" not in said, (place, value)
            assert len(said) < 1000, (place, value)


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where anything is in a JSON document; of a long list the first two and the last."""
    items = list(value.items() if isinstance(value, dict) else enumerate(value))
    for key, item in items if isinstance(value, dict) else [*items[:2], *items[2:][-1:]]:
        yield (*place, key)
        if isinstance(item, dict | list):
            yield from places(item, (*place, key))


def damaged(good: Any, place: tuple[Any, ...], value: str | None) -> str:
    """The document with another value at a place, or nothing."""
    copy = json.loads(json.dumps(good))
    *above, last = place
    parent = copy
    for key in above:
        parent = parent[key]
    if value is None:
        del parent[last]
        return json.dumps(copy)
    parent[last] = "the damage"
    return json.dumps(copy).replace('"the damage"', value)


def test_an_endless_manifest(tmp_path: Path) -> None:
    """A file that never ends is not read to its end."""
    (tmp_path / manifest.FILE_NAME).symlink_to("/dev/zero")

    with pytest.raises(ArtefactError, match="larger than 64 MB"):
        manifest.read(tmp_path)
