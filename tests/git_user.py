"""git as somebody uses it who is asked for a token: an environment of its own, and nothing else."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_ASKPASS = '#!/bin/sh\ncase "$1" in U*) echo user;; *) echo "$HUB_TOKEN";; esac\n'


def git_environment(folder: Path, token: str | None) -> dict[str, str]:
    """Git's environment, with what it needs in `folder`; a program of there tells the token."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        **{f"GIT_{who}_NAME": "Somebody" for who in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{who}_EMAIL": "s@example.org" for who in ("AUTHOR", "COMMITTER")},
    }
    if token is None:
        return environment
    askpass = folder / "askpass"
    askpass.write_text(_ASKPASS)
    askpass.chmod(0o700)
    return environment | {"GIT_ASKPASS": str(askpass), "HUB_TOKEN": token}
