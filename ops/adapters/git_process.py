"""Runs git for us, with a token that it is told in its environment and nowhere else.

A credential helper prints the token from the environment, and git asks that helper for one origin
only. Nothing of the user's own git counts, so no other helper keeps the token, no hook sees it, and
no rewritten address or redirect leads it elsewhere. Proxies and certificates of the environment do
count, as they do for every other request of ours.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from tempfile import NamedTemporaryFile, TemporaryFile
from typing import IO, TYPE_CHECKING

from git import Git

from ops.child_environment import alone, child_environment
from ops.errors import ConfigError, OpsError, TimedOut

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_USER, _TOKEN = "OPS_GIT_USER", "OPS_GIT_TOKEN"
_HELPER = f"""#!/bin/sh
test "$1" = get && printf 'username=%s\\npassword=%s\\n' "${_USER}" "${_TOKEN}"
"""
_KEPT = ("GIT_SSL_", "GIT_PROXY_SSL_", "GIT_EXEC_PATH")
_CONFIG = {
    "credential.helper": "",
    "gc.auto": "0",
    # Else git asks the next address for whatever it asked the Hub for.
    "http.followRedirects": "false",
    # Else git waits for ever where nothing comes any more, or next to nothing.
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "60",
    # `Retries` tries again, and says so.
    "lfs.transfer.maxretries": "2",
    "lfs.transfer.maxretrydelay": "1",
}
_HIDDEN = "***"
_TAIL_LINES = 20
_TAIL_BYTES = 64 * 1024

_LIMIT = 1800.0
"""Seconds for a command. git-lfs asks for ever where the Hub leads it to a server that says 401."""
_LARGEST_FILE = 64 * 1024**3
"""Bytes. No file of a Space is larger, and git itself fetches without a limit."""
_LARGEST_OUTPUT = 256 * 1024**2
_BLOCK = 512
"""What `ulimit -f` counts in (POSIX)."""
_LIMITED = f"""
out=$0 err=$1
shift
ulimit -f {_LARGEST_FILE // _BLOCK} && exec git "$@" >"$out" 2>"$err"
"""
"""GitPython would read what git writes into memory, however much that is."""


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
    """git for one user with one token, which is for one origin.

    `home` is a private folder, which is all the home that its commands have.
    `config` is git's configuration and `variables` more of its environment, for each of them.
    """

    home: Path
    user: str
    token: str | None = field(repr=False)
    origin: str
    config: Mapping[str, str]
    variables: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if shutil.which("git") is None:
            raise ConfigError(
                "git is not installed.", next_step="Install git: https://git-scm.com."
            )
        self._helper.write_text(_HELPER, encoding="utf-8")
        self._helper.chmod(0o700)

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

        Raises:
            TimedOut: it does not come to an end.
        """
        environment = self._environment()
        if online and self.token is not None:
            environment |= {_USER: self.user, _TOKEN: self.token}
        with TemporaryFile() as given, self._file() as out, self._file() as err:
            given.write(stdin)
            given.seek(0)
            limited = ["sh", "-c", _LIMITED, out.name, err.name, *arguments]
            started = Git(at or self.home).execute(
                [*alone(environment), *limited], istream=given, as_process=True, env=environment
            )
            assert started.proc is not None  # noqa: S101 -- it has not ended yet
            with started.proc as process:
                try:
                    process.wait(_LIMIT)
                except BaseException as error:
                    process.terminate()
                    process.wait()
                    if not isinstance(error, subprocess.TimeoutExpired):
                        raise
                    raise TimedOut(
                        f"git {arguments[0]} did not end within {_LIMIT / 60:.0f} minutes.",
                        cause="The connection is slow, or the server goes on sending.",
                        next_step="Run the command again.",
                    ) from error
            return Done(
                process.returncode,
                self._redacted(_whole(out, arguments[0])),
                self._redacted(_end_of(err)),
            )

    def _file(self) -> IO[bytes]:
        return NamedTemporaryFile(dir=self.home)

    @property
    def _helper(self) -> Path:
        return self.home / "credential-helper"

    def _environment(self) -> dict[str, str]:
        config = {**_CONFIG, f"credential.{self.origin}.helper": str(self._helper), **self.config}
        pairs = [
            (f"GIT_CONFIG_{part}_{number}", word)
            for number, pair in enumerate(config.items())
            for part, word in zip(("KEY", "VALUE"), pair, strict=True)
        ]
        return {
            **child_environment(network=True),
            **{name: value for name, value in os.environ.items() if name.startswith(_KEPT)},
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_COUNT": str(len(config)),
            **dict(pairs),
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


def _whole(out: IO[bytes], command: str) -> bytes:
    """What a command wrote; raises OpsError when that is too much to be right."""
    out.seek(0)
    content = out.read(_LARGEST_OUTPUT + 1)
    if len(content) > _LARGEST_OUTPUT:
        raise OpsError(
            f"git {command} wrote more than {_LARGEST_OUTPUT} bytes.",
            cause="The repository has a file or a list of refs that is too large.",
            next_step="Look at the Space's files on its page.",
        )
    return content


def _end_of(err: IO[bytes]) -> bytes:
    err.seek(0, os.SEEK_END)
    err.seek(max(err.tell() - _TAIL_BYTES, 0))
    return err.read()
