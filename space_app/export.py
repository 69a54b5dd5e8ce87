"""`python -m space_app.export MODEL OUT`: a sentence-transformers model -> the server's artefact.

MODEL is a model.toml, a folder, or a model's id on the Hub. OUT is complete or not there.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import signal
import sys
import tempfile
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from space_app import backends, download, log, model_file
from space_app.core import canaries, manifest
from space_app.core.errors import ExportError, StartError
from space_app.core.manifest import Manifest
from space_app.fingerprint import fingerprint
from space_app.model_file import ModelSpec, Precision

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from space_app.core.exported import Exported, Reading
    from space_app.core.types import Embedder

_LIBRARIES = (
    "nncf",
    "numpy",
    "openvino",
    "safetensors",
    "sentence-transformers",
    "tokenizers",
    "torch",
    "transformers",
)
_CHECK_THREADS = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Export as the command line says; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m space_app.export",
        description="Make the folder that the server runs from.",
        epilog="example: python -m space_app.export model.toml ./model",
    )
    parser.add_argument(
        "model", metavar="MODEL", help="a model.toml, a folder, or an id on the Hub"
    )
    parser.add_argument("out", metavar="OUT", type=Path, help="the folder to make or replace")
    parser.add_argument(
        "--precision",
        choices=get_args(Precision),
        help="what to try first, instead of model.toml's (int8)",
    )
    asked = parser.parse_args(arguments)
    if not asked.model:
        parser.error("MODEL is empty")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    log.configure(logging.ERROR)
    try:
        made = export(_spec(asked.model, asked.precision), asked.out)
    except StartError as error:
        _say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        _say("Interrupted; nothing was left behind.")
        return 130
    _say(f"{asked.out}: {made.model}, {made.dimensions} dimensions, fingerprint {made.fingerprint}")
    return 0


def export(spec: ModelSpec, out: Path) -> Manifest:
    """Make the artefact; raises ExportError or ArtefactError, and leaves OUT as it was then."""
    _require_ours(out)
    source, revision = _source(spec)
    _require_modules(spec, source)
    with _replacing(out, size=_size(source)) as folder:
        exported = backends.export(source, spec, folder, _say)
        for path in folder.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)  # some are written for their owner only
        made = _manifest(spec, revision, exported, folder)
        _say("Checking it as the server does at its start")
        # fp32 is what CPUs compute in that have nothing better, which this one may have.
        lowest = 1.0
        for arithmetic in dict.fromkeys(("fp32", made.arithmetic)):
            embedder = backends.load(folder, made, threads=_CHECK_THREADS, arithmetic=arithmetic)
            made = canaries.with_exported(embedder, made)
            lowest = min(lowest, canaries.check(embedder, made))
        _require_same_tokens(embedder, exported.readings)
        _say(f"Lowest cosine {lowest:.6f}")
        manifest.write(made, folder)
    return made


def _spec(model: str, precision: Precision | None) -> ModelSpec:
    path = Path(model)
    spec = model_file.read(path) if path.suffix == ".toml" else ModelSpec(id=model)
    return model_file.with_precision(spec, precision) if precision else spec


def _source(spec: ModelSpec) -> tuple[Path, str | None]:
    """The model's folder, and its commit if it comes from the Hub."""
    if (folder := Path(spec.id)).is_dir():
        return folder, None
    _say(f"Downloading {spec.id} at {spec.revision}")
    snapshot = download.download(spec.id, spec.revision)
    return snapshot.folder, snapshot.revision


def _require_modules(spec: ModelSpec, source: Path) -> None:
    if not (source / "modules.json").is_file():
        raise ExportError(
            f"{spec.id} is not a sentence-transformers model.",
            cause="There is no modules.json in it, so nobody knows how its tokens are pooled.",
            next_step="Use a model that the Hub lists under sentence-transformers.",
        )


def _manifest(spec: ModelSpec, revision: str | None, exported: Exported, folder: Path) -> Manifest:
    unsigned = Manifest(
        model=spec.id if revision is not None else Path(spec.id).resolve().name,
        revision=revision,
        backend=spec.backend,
        precision=exported.precision,
        arithmetic=exported.arithmetic,
        pooling=exported.pooling,
        query_instruction=exported.instructions.query,
        document_instruction=exported.instructions.document,
        dimensions=exported.dimensions,
        max_length=exported.max_length,
        padding_token=exported.padding_token,
        libraries={name: version(name) for name in _LIBRARIES},
        quality=exported.quality,
        refused=exported.refused,
        compiled=exported.compiled,
        canaries=exported.canaries,
        fingerprint="none yet",
    )
    return unsigned.model_copy(update={"fingerprint": fingerprint(folder, unsigned.decisions)})


def _require_same_tokens(embedder: Embedder, readings: Sequence[Reading]) -> None:
    """What the server reads of a text is what sentence-transformers reads of it."""
    read = embedder.encode([reading.text for reading in readings])
    for reading, found in zip(readings, read, strict=True):
        if tuple(found.tokens.tolist()) != reading.tokens:
            raise ExportError(
                f"The server would read other tokens of {reading.text[:80]!r} than the model does.",
                cause="The model's tokenizer has a setting that is lost when it is saved.",
                next_step="Use another model, or the other backend.",
            )


def _require_ours(out: Path) -> None:
    """Only an artefact, or an empty folder, is ever replaced."""
    if out.is_file() or (
        out.is_dir() and any(out.iterdir()) and not (out / manifest.FILE_NAME).is_file()
    ):
        raise ExportError(
            f"{out} exists and is no artefact.", next_step="Name a new folder as OUT."
        )


@contextmanager
def _replacing(out: Path, *, size: int) -> Iterator[Path]:
    """A folder beside OUT that becomes OUT when all has gone well, and nothing otherwise."""
    out = out.resolve()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    except OSError as error:
        raise ExportError(f"{out} cannot be made: {error.strerror}.") from error
    try:
        require_room(work, size)
        made = work / "new"
        made.mkdir()
        yield made
        if out.exists():
            out.rename(work / "old")
        made.rename(out)
    except OSError as error:
        raise ExportError(
            f"{out} could not be written.",
            cause=f"{error.strerror or error}.",
            next_step="Make room on its disk, or choose another OUT.",
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def require_room(folder: Path, size: int) -> None:
    """Raise ExportError unless `size` more bytes fit on the folder's disk."""
    free = shutil.disk_usage(folder).free
    if free < size:
        raise ExportError(
            f"The model needs {size / 1e6:.0f} MB, and {free / 1e6:.0f} MB are free in "
            f"{folder.parent}.",
            next_step="Make room there, or choose another OUT.",
        )


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _say(line: str) -> None:
    # Names and prompts come from the model's files, and a terminal would obey what is in them.
    line = "".join(char if char.isprintable() else repr(char)[1:-1] for char in line)
    print(line, file=sys.stderr, flush=True)  # noqa: T201 -- progress of a command


if __name__ == "__main__":
    sys.exit(main())
