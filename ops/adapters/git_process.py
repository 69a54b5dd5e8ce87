"""Runs git for us, with a token that it is told in its environment and nowhere else.

git asks a program for the password, which prints it from the environment: it is in no argument, no
address and no file. Nothing of the user's own git counts, so no credential helper keeps the token,
no hook sees it, and no rewritten address leads it elsewhere. Proxies and certificates of the
environment do count, as they do for every other request of ours.
"""

from __future__ import annotations

import base64
import os
import shutil
from dataclasses import dataclass, field
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from git import Git

from ops.errors import ConfigError, OpsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_USER, _TOKEN = "OPS_GIT_USER", "OPS_GIT_TOKEN"
_ASKPASS = f"""#!/bin/sh
case "$1" in
  Username*) printf '%s\\n' "${_USER}" ;;
  *) printf '%s\\n' "${_TOKEN}" ;;
esac
"""
_KEPT = ("GIT_SSL_", "GIT_PROXY_SSL_", "GIT_EXEC_PATH")
_CONFIG = {
    "credential.helper": "",
    "gc.auto": "0",
    # Else git waits for ever where nothing comes any more.
    "http.lowSpeedLimit": "1",
    "http.lowSpeedTime": "60",
}
_HIDDEN = "***"
_TAIL_LINES = 20


@dataclass(frozen=True)
class Done:
    """A command that ended; none of it holds the token."""

    status: int
    out: str
    err: str

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines of what it said of its failure."""
        return tuple(self.err.splitlines()[-_TAIL_LINES:])


@dataclass(frozen=True)
class GitProcess:
    """git for one user with one token.

    `home` is a private folder, which is all the home that its commands have.
    `config` is git's configuration and `variables` more of its environment, for each of them.
    """

    home: Path
    user: str
    token: str | None = field(repr=False)
    config: Mapping[str, str]
    variables: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if shutil.which("git") is None:
            raise ConfigError(
                "git is not installed.", next_step="Install git: https://git-scm.com."
            )
        self._askpass.write_text(_ASKPASS, encoding="utf-8")
        self._askpass.chmod(0o700)

    def run(self, *arguments: str, stdin: bytes = b"", at: Path | None = None) -> str:
        """What a command writes that needs no Hub; raises OpsError when it fails."""
        done = self.attempt(*arguments, stdin=stdin, at=at)
        if done.status != 0:
            raise OpsError(
                f"git {arguments[0]} failed with {done.status}.",
                next_step="What git said is above.",
                log_tail=done.tail,
            )
        return done.out

    def attempt(
        self,
        *arguments: str,
        stdin: bytes = b"",
        at: Path | None = None,
        online: bool = False,
    ) -> Done:
        """A command to its end, whichever; only one that is `online` is told the token.

        It runs in the folder `at`, by default the private one.
        """
        environment = self._environment()
        if online and self.token is not None:
            environment |= {_USER: self.user, _TOKEN: self.token}
        # GitPython adds to its own process' environment and takes nothing away.
        unset = (word for name in _foreign() - environment.keys() for word in ("-u", name))
        with TemporaryFile() as given:
            given.write(stdin)
            given.seek(0)
            started = Git(at or self.home).execute(
                ["env", *unset, "git", *arguments],
                istream=given,
                as_process=True,
                env=environment,
            )
            assert started.proc is not None  # noqa: S101 -- it has not ended yet
            with started.proc as process:
                try:
                    out, err = process.communicate()
                except BaseException:
                    process.terminate()
                    process.wait()
                    raise
        return Done(process.returncode, self._redacted(out), self._redacted(err))

    @property
    def _askpass(self) -> Path:
        return self.home / "askpass"

    def _environment(self) -> dict[str, str]:
        config = {**_CONFIG, **self.config}
        pairs = [
            (f"GIT_CONFIG_{part}_{number}", word)
            for number, pair in enumerate(config.items())
            for part, word in zip(("KEY", "VALUE"), pair, strict=True)
        ]
        return {
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_COUNT": str(len(config)),
            **dict(pairs),
            "GIT_ASKPASS": str(self._askpass),
            "GIT_TERMINAL_PROMPT": "0",
            **self.variables,
        }

    def _redacted(self, said: bytes) -> str:
        text = said.decode(errors="replace")
        if self.token is not None:
            basic = base64.b64encode(f"{self.user}:{self.token}".encode()).decode()
            for secret in (self.token, basic):
                text = text.replace(secret, _HIDDEN)
        return text


def _foreign() -> set[str]:
    """Variables meant for another git, such as the one whose hook we are."""
    return {n for n in os.environ if n.startswith("GIT_") and not n.startswith(_KEPT)}
