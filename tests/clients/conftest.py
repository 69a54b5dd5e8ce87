"""The server that clients are tried against, and what came of each."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sysconfig
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx2
import pytest
from clients import environments
from clients.environments import PROGRAMS, PackagesUnavailable
from clients.recorder import Recorder
from clients.tripwire import tripwire
from fakes.asgi_server import serving
from server_process import started

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from clients.recorder import Sent
    from clients.registry import Client

KEY = "key-of-the-clients"
CL100K = "9b5ad71b2ce5302211f9c61530b329a4922fc6a4"
"""What tiktoken names the file of the vocabulary in its cache."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Registers --update-clients: `pytest tests/clients --update-clients`."""
    parser.addoption(
        "--update-clients",
        action="store_true",
        help="Write docs/clients.md anew from what came of this run; refused in CI.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuses to make CI agree with whatever came of it there."""
    if config.getoption("--update-clients", default=False) and os.environ.get("CI"):
        message = "--update-clients is refused in CI: run it here, look at the change, commit it."
        raise pytest.UsageError(message)


@dataclass(frozen=True)
class Outcome:
    """What a program printed, and what was seen on the wire."""

    printed: dict[str, object]
    sent: tuple[Sent, ...]


class Runs:
    """Runs each program once for all tests that ask for it."""

    def __init__(self, python: Path, node: Path, servers: dict[bool, str], home: Path):
        self.python = python
        self._node = node
        self._servers = servers
        self._home = home
        self._done: dict[str, Outcome] = {}

    def outcome(self, client: Client, *, switched: bool = True) -> Outcome:
        """What came of it, with its switch set or not."""
        options = json.dumps({**client.options, **(client.switch if switched else {})})
        key = f"{client.id} {options}"
        if key not in self._done:
            done, sent = self.run(client, options)
            assert done.returncode == 0, done.stderr
            self._done[key] = Outcome(json.loads(done.stdout), sent)
        return self._done[key]

    def vector_of(self, text: str, role: str = "document") -> list[float]:
        """What the server itself says of a text."""
        reply = httpx2.post(
            f"{self._servers[False]}/v1/embeddings",
            headers={"Authorization": f"Bearer {KEY}"},
            json={"input": text, "input_type": role},
            trust_env=False,
        )
        return list(reply.json()["data"][0]["embedding"])

    def run(
        self, client: Client, options: str, key: str = KEY
    ) -> tuple[subprocess.CompletedProcess[str], tuple[Sent, ...]]:
        """Run its program."""
        with self.recording(cl100k=client.cl100k) as recorder:
            if client.is_node:
                command = [self._node, self._node.parents[3] / PROGRAMS.name / client.program]
            else:
                command = [self.python, PROGRAMS / client.program]
            task = {"EMBED_URL": recorder.url, "EMBED_KEY": key, "OPTIONS": options}
            done = self.execute(command, task)
        return done, tuple(recorder.sent)

    @contextmanager
    def recording(self, *, cl100k: bool = False) -> Iterator[Recorder]:
        """Stand between the server and a client."""
        recorder = Recorder(self._servers[cl100k])
        with serving(recorder.app()) as recorder.url:
            yield recorder

    def execute(
        self, command: Sequence[str | Path], environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Run a client's program; nothing may leave this machine."""
        with tripwire() as (proxy, asked):
            done = subprocess.run(
                command,
                check=False,
                env={**self._environment(proxy), **environment},
                cwd=self._home,
                capture_output=True,
                text=True,
                timeout=120,
            )
        assert asked == [], "it wanted something from outside"
        return done

    def _environment(self, proxy: str) -> dict[str, str]:
        """Nothing of this process's: no proxy, key or setting of whoever runs the tests."""
        proxies = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy")
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self._home),
            "EMBED_MODEL": "the-model-of-the-space",
            "SENTENCE_TRANSFORMERS": sysconfig.get_path("purelib"),
            "TIKTOKEN_CACHE_DIR": str(cl100k(self.python).parent),
            # Statistics that would be sent, and files that would be looked for.
            "MEM0_TELEMETRY": "False",
            "HAYSTACK_TELEMETRY_ENABLED": "False",
            "DO_NOT_TRACK": "1",
            # Whoever reaches out all the same is caught.
            **dict.fromkeys(proxies, proxy),
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
            "NODE_USE_ENV_PROXY": "1",
        }


def cl100k(python: Path) -> Path:
    """The vocabulary, which a package of the environment carries."""
    packages = python.parents[1] / "lib"
    return next(packages.glob(f"python*/site-packages/llama_index/core/_static/*/{CL100K}"))


@pytest.fixture(scope="session")
def runs(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """Runs of the clients, against servers with a key."""
    try:
        python, node = environments.python(), environments.node()
    except PackagesUnavailable as error:
        if os.environ.get("REQUIRE_CLIENTS") == "1":
            pytest.fail(f"REQUIRE_CLIENTS=1, but: {error}", pytrace=False)
        pytest.skip(f"needs the clients' packages: {error}")
    shutil.copytree(PROGRAMS, node.parents[3] / PROGRAMS.name, dirs_exist_ok=True)
    keys = {"EMBED_API_KEYS": f"clients={KEY}"}
    with (
        started(artefact, **keys) as plain,
        started(artefact, **keys, EMBED_CL100K_FILE=str(cl100k(python))) as decoding,
    ):
        plain.wait_until_healthy()
        decoding.wait_until_healthy()
        servers = {False: plain.url, True: decoding.url}
        yield Runs(python, node, servers, tmp_path_factory.mktemp("home"))
