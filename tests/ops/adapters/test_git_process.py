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

from ops.adapters import git_process
from ops.adapters.git_process import GitProcess
from ops.errors import ConfigError, OpsError, TimedOut

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "hf_of_this_test"
HUB = "http://127.0.0.1:8123"
SHELL = ("-c", "alias.sh=!sh", "sh", "-c")


@pytest.fixture(name="git")
def _git(tmp_path: Path) -> GitProcess:
    """One for a user with a token."""
    return GitProcess(tmp_path, "somebody", TOKEN, HUB, {"test.key": "a value"})


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


def test_the_token_is_told_to_its_hub(git: GitProcess) -> None:
    """Git asks for a name and a password and gets them, and only online."""
    asked = f"url={HUB}/spaces/me/app\n\n".encode()
    told = git.attempt("credential", "fill", stdin=asked, online=True)
    assert told.status == 0
    assert "username=somebody\npassword=***\n" in told.out
    assert "password=\n" in git.attempt("credential", "fill", stdin=asked).out


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8124/spaces/me/app",
        "http://127.0.0.1/",
        "http://127.0.0.1:81234/",
        "https://127.0.0.1:8123/",
        "http://127.0.0.1:8123.example.org/",
        "http://somebody@127.0.0.1:8123@example.org/",
        "http://localhost:8123/",
    ],
)
def test_the_token_is_told_to_nobody_else(git: GitProcess, url: str) -> None:
    """Another port, scheme or host, whatever is like it, gets no answer."""
    told = git.attempt("credential", "fill", stdin=f"url={url}\n\n".encode(), online=True)
    assert told.status != 0
    assert "password" not in told.out


def test_no_variable_of_ours_reaches_git_but_what_it_needs(
    git: GitProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tokens and keys of this environment stay here; proxies and certificates do not."""
    for name in ("HF_TOKEN", "EMBED_API_KEY", "AWS_SECRET_ACCESS_KEY", "GIT_ASKPASS", "ANYTHING"):
        monkeypatch.setenv(name, "of this environment")
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    told = git.attempt(*SHELL, "env", online=True).out
    assert "of this environment" not in told
    assert "https_proxy=http://proxy:3128\n" in told


def test_a_command_without_an_end(git: GitProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ended after a while, and that is told."""
    monkeypatch.setattr(git_process, "_LIMIT", 0.2)
    with pytest.raises(TimedOut, match="did not end"):
        git.attempt(*SHELL, "exec sleep 1000")


def test_output_without_an_end(git: GitProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more of it is read, or kept, than any sound command writes."""
    monkeypatch.setattr(git_process, "_LARGEST_OUTPUT", 1000)
    with pytest.raises(OpsError, match="wrote more than 1000 bytes"):
        git.attempt(*SHELL, "head -c 1001 /dev/zero")
    monkeypatch.setattr(git_process, "_LARGEST_FILE", 512 * 100)
    assert git.attempt(*SHELL, "exec cat /dev/zero >&2").status != 0


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
        GitProcess(tmp_path, "somebody", TOKEN, HUB, {})
