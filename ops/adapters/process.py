"""Builds and runs Spaces without Docker: the server is a process of this machine's own Python.

Only Spaces made by this project can be run so, because their Dockerfile is not carried out: what it
does is known. A server has a clean environment and the CPUs that its hardware would give it, but no
memory limit: the only one a process can be given (RLIMIT_AS) counts address space, of which torch
reserves many times what it uses.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import site
import subprocess
import sys
import time
import tomllib
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ops.adapters.dockerfile import read_dockerfile
from ops.adapters.free_port import LOOPBACK, free_port
from ops.adapters.process_server import ProcessServer, kill_group, lines, locked, popen
from ops.adapters.watchdog import WATCHDOG
from ops.child_environment import child_environment
from ops.errors import BuildFailed, Unhealthy
from ops.runner import CPU_BASIC, Image, Limits, Log

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KEPT_BUILDS = 4

_TAIL_LINES = 30
_ABANDONED_AFTER = 24 * 3600
_UNFINISHED = ".building-"
_WHERE = "HF_ENDPOINT"
"""Where a build gets its model from."""
_COMMIT = re.compile("[0-9a-f]{40}")

_NEEDED = (
    "fastapi", "fastapi-swagger", "nncf", "numpy", "openvino", "orjson", "prometheus-client",
    "sentence-transformers", "tokenizers", "torch", "uvicorn",
)  # fmt: skip
"""Distributions of the extras `server` and `export` without which a build cannot end well."""

_DECIDING = ("nncf", "openvino", "sentence-transformers", "tokenizers", "torch", "transformers")
"""Distributions whose versions may change what an export makes."""

_IMAGE_VARIABLES = ("EMBED_", "HF_HUB_OFFLINE", "PYTHONUNBUFFERED")
"""Beginnings of names of ENV instructions that mean something outside the image, too."""

_ASK_PYTHON = """
import json, sys
from importlib import metadata
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
print(json.dumps({"python": sys.version, "distributions": found}))
"""


@dataclass(frozen=True)
class _Python:
    """An interpreter, and what is installed for it."""

    version: str
    distributions: Mapping[str, str]


class ProcessRunner:
    """Runs Spaces as local processes; see `ops.runner.Runner`.

    Builds are kept in `cache`, the few that were used last, and found again by their content.
    """

    name = "process"

    def for_owner(self, owner: str) -> ProcessRunner:  # noqa: ARG002 -- a process dies with us
        """See `Runner.for_owner`."""
        return self

    def __init__(self, cache: Path | None = None, *, python: str = sys.executable):
        self._cache = cache or _default_cache()
        self._python = python

    def build(self, tree: Path, *, tag: str, build_args: Mapping[str, str], log: Log) -> Image:
        """See `Runner.build`; `tag` names nothing here, as a build is named by its content."""
        _require_ours(tree)
        arguments = read_dockerfile(tree / "Dockerfile").declared(build_args)
        built = self._cache / _key(tree, arguments, self._installed())
        if built.is_dir():
            log(f"{tag}: cached, built before from the same files.")
        else:
            self._cache.mkdir(parents=True, exist_ok=True)
            with (
                TemporaryDirectory(prefix=_UNFINISHED, dir=self._cache) as folder,
                WATCHDOG.watching("folder", folder),
            ):
                self._export(tree, Path(folder), arguments, log)
                _publish(Path(folder) / "built", built)
        built.touch()
        self._prune()
        return Image(reference=str(built), size_bytes=_size(built))

    def start(
        self,
        image: Image,
        *,
        environment: Mapping[str, str],
        log: Log,
        limits: Limits = CPU_BASIC,
        app_port: int = 7860,  # noqa: ARG002 -- every process needs a port of its own
    ) -> ProcessServer:
        """See `Runner.start`.

        The port is chosen here and taken by the server a moment later. Should another process ask
        for that very number in between, the server ends with an exit code and says so in its log.
        """
        built = Path(image.reference)
        if not (built / "space_app").is_dir():
            raise Unhealthy(
                f"There is no build {image.reference}.",
                cause="It was removed meanwhile.",
                next_step="Build it again: ops build --runner process.",
            )
        built.touch()
        port = free_port()
        of_image = {
            name: value
            for name, value in read_dockerfile(built / "Dockerfile").environment.items()
            if name.startswith(_IMAGE_VARIABLES)
        }
        if of_image.pop("EMBED_CL100K_FILE", None) is not None:
            log("Without Docker the server has no cl100k vocabulary, and refuses tokens of it.")
        own = {"EMBED_MODEL_DIR": str(built / "model"), "PYTHONUNBUFFERED": "1"}
        address = {"HOST": LOOPBACK, "PORT": str(port)}
        return ProcessServer(
            [self._python, "-m", "space_app"],
            folder=built,
            environment={**self._clean(), **of_image, **own, **environment, **address},
            port=port,
            cpus=limits.cpus,
            log=log,
        )

    def _installed(self) -> _Python:
        """What this interpreter has; raises BuildFailed when that is not enough."""
        names = sorted({*_NEEDED, *_DECIDING})
        try:
            answer = subprocess.run(
                [self._python, "-c", _ASK_PYTHON, *names],
                env=self._clean(),
                capture_output=True,
                check=True,
            )
        except (OSError, subprocess.CalledProcessError) as error:
            raise BuildFailed(
                f"The Python interpreter {self._python} does not work.",
                next_step="Install the project again: make setup.",
            ) from error
        found = json.loads(answer.stdout)
        missing = [name for name in _NEEDED if name not in found["distributions"]]
        if missing:
            raise BuildFailed(
                f"Without Docker a build needs Python packages that are missing: "
                f"{', '.join(missing)}.",
                next_step="pip install 'embedding-space[server,export]'",
            )
        return _Python(found["python"], found["distributions"])

    def _clean(self, *, network: bool = False) -> dict[str, str]:
        """What any program needs of this process's environment, and no secret of it."""
        taken = child_environment(network=network)
        for own in ("HOME", "TMPDIR"):
            taken.pop(own, None)
        path = os.pathsep.join(
            filter(None, (str(Path(self._python).parent), os.environ.get("PATH")))
        )
        # The home folder is another one, so say where packages of `pip install --user` are.
        return {"LANG": "C.UTF-8", **taken, "PATH": path, "PYTHONUSERBASE": site.getuserbase()}

    def _export(self, tree: Path, folder: Path, arguments: Mapping[str, str], log: Log) -> None:
        """Make `folder`/built: the server, its model, and the Dockerfile for its ENV lines."""
        built, home = folder / "built", folder / "home"
        home.mkdir()
        shutil.copytree(tree / "space_app", built / "space_app", ignore=_no_bytecode)
        for name in ("model.toml", "Dockerfile"):
            shutil.copyfile(tree / name, built / name)
        environment = {
            **self._clean(network=True),
            **arguments,
            "HOME": str(home),
            "HF_HOME": str(home / "huggingface"),
            "TMPDIR": str(home),
            "PYTHONUNBUFFERED": "1",
        }
        command = [self._python, "-m", "space_app.export", "model.toml", str(built / "model")]
        tail: deque[str] = deque(maxlen=_TAIL_LINES)
        with _child(command, built, environment) as child:
            for line in lines(child):
                tail.append(line)
                log(line)
            code = child.wait()
        if code != 0:
            raise BuildFailed(
                f"The export of the model ended with exit code {code}.",
                cause="Its last lines say why.",
                next_step="Correct it, then build again.",
                log_tail=tuple(tail),
            )

    def _prune(self) -> None:
        """Remove all builds but those used last, and what killed builds left behind.

        A build that runs is left alone, whoever started it.
        """
        folders = [path for path in self._cache.iterdir() if path.is_dir()]
        unfinished = {path for path in folders if path.name.startswith(_UNFINISHED)}
        old = sorted((p for p in folders if p not in unfinished), key=_last_used, reverse=True)
        for path in old[KEPT_BUILDS:]:
            with suppress(BlockingIOError), locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB):
                shutil.rmtree(path, ignore_errors=True)
        for path in unfinished:
            if time.time() - _last_used(path) > _ABANDONED_AFTER:
                shutil.rmtree(path, ignore_errors=True)


def _default_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "embedding-space" / "builds"


def _require_ours(tree: Path) -> None:
    parts = ("Dockerfile", "model.toml", "space_app/__main__.py", "space_app/export.py")
    if not all((tree / part).is_file() for part in parts):
        raise BuildFailed(
            "Without Docker only Spaces made by this project can be run, and this is none.",
            cause="It has no space_app, no model.toml or no Dockerfile.",
            next_step="Start Docker, which runs any Space; or render one: ops render.",
        )


def _key(tree: Path, arguments: Mapping[str, str], python: _Python) -> str:
    """A hash over everything that decides what a build is."""
    files = [tree / "model.toml", *(p for p in (tree / "space_app").rglob("*") if p.is_file())]
    deciding = {
        "files": {
            path.relative_to(tree).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
            if "__pycache__" not in path.parts
        },
        "environment": dict(read_dockerfile(tree / "Dockerfile").environment),
        "arguments": {
            name: value
            for name, value in arguments.items()
            if name != _WHERE or not _is_pinned(tree / "model.toml")
        },
        "python": python.version,
        "distributions": dict(python.distributions),
    }
    return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()[:32]


def _is_pinned(model: Path) -> bool:
    """Whether a model is one and the same wherever it comes from."""
    revision = tomllib.loads(model.read_text(encoding="utf-8")).get("revision", "")
    return _COMMIT.fullmatch(revision) is not None


def _publish(built: Path, target: Path) -> None:
    """Give a finished build its name; one that another process finished first is as good."""
    try:
        built.rename(target)
    except OSError:
        if not target.is_dir():
            raise


def _no_bytecode(_: str, names: list[str]) -> list[str]:
    return [name for name in names if name == "__pycache__"]


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def _last_used(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:  # another process removed it
        return 0.0


@contextmanager
def _child(
    command: list[str], folder: Path, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[str]]:
    """A child that does not outlive the context."""
    with popen(command, folder, environment) as child:
        try:
            yield child
        finally:
            if child.poll() is None:
                kill_group(child.pid)
            WATCHDOG.forget("session", child.pid)
