from __future__ import annotations

import base64
import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import psutil
import pytest
from fakes.processes import wait_until_ended

from ops.adapters.git_process import GitProcess
from ops.errors import ConfigError, OpsError

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "hf_of_this_test"
SHELL = ("-c", "alias.sh=!sh", "sh", "-c")


@pytest.fixture(name="git")
def _git(tmp_path: Path) -> GitProcess:
    """One for a user with a token."""
    return GitProcess(tmp_path, "somebody", TOKEN, {"test.key": "a value"})


def test_what_a_command_is_told(
    git: GitProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its configuration and what is on its standard input; nothing of another git's."""
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "0")
    monkeypatch.setenv("GIT_SSL_CAINFO", "/certificates")
    assert git.run("config", "test.key") == "a value\n"
    assert git.run("hash-object", "--stdin", stdin=b"hello\n").startswith("ce013625")
    told = git.run(*SHELL, "env")
    assert "/nowhere" not in told
    assert f"HOME={tmp_path}\n" in told
    assert "GIT_SSL_CAINFO=/certificates\n" in told


def test_the_token_is_told_when_it_is_needed(git: GitProcess) -> None:
    """What asks for a name or a password gets them, and only online."""
    ask = '$GIT_ASKPASS "Username for x"; $GIT_ASKPASS "Password for x" | tr a-z A-Z'
    assert git.attempt(*SHELL, ask, online=True).out == f"somebody\n{TOKEN.upper()}\n"
    assert git.attempt(*SHELL, ask).out == "\n\n"


def test_the_token_is_taken_out_of_what_is_said(git: GitProcess) -> None:
    """In either form, and whether a command writes it or fails with it."""
    sent = base64.b64encode(f"somebody:{TOKEN}".encode()).decode()
    done = git.attempt(*SHELL, f"env; echo Basic {sent} >&2; exit 3", online=True)
    assert done.status == 3
    assert "OPS_GIT_TOKEN=***\n" in done.out
    assert done.err == "Basic ***\n"
    assert TOKEN not in repr((git, done))


def test_a_failure_has_its_words(git: GitProcess) -> None:
    """The last lines of what git said."""
    with pytest.raises(OpsError, match="git cat-file failed with 128") as raised:
        git.run("cat-file", "blob", "nothing")
    assert "not a git repository" in raised.value.log_tail[0]


def test_ctrl_c_ends_it(git: GitProcess, tmp_path: Path) -> None:
    """With all that git has started."""
    told = tmp_path / "told"
    started: list[psutil.Process] = []

    def interrupt() -> None:
        while not (told.is_file() and told.read_text().endswith("\n")):
            time.sleep(0.01)
        started.append(psutil.Process(int(told.read_text())))
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        git.attempt(*SHELL, f"echo $$ >{told}; exec sleep 1000")
    wait_until_ended(started)


def test_git_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is said as such."""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigError, match="git is not installed"):
        GitProcess(tmp_path, "somebody", TOKEN, {})
