"""Which commit of this toolkit is running, and where it comes from."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from git import Git, GitError

from ops.child_environment import alone, child_environment

_TOOLKIT = Path(__file__).resolve().parents[2]
_LIMIT = 60
"""Seconds; a checkout may lie on a slow disk."""


def source_commit(checkout: Path = _TOOLKIT) -> str | None:
    """The toolkit's commit, with "+changes" when its checkout differs; None outside a checkout."""
    if top_folder(checkout) != checkout.resolve():
        return None
    commit = _git(checkout, "rev-parse", "--verify", "HEAD")
    changed = _git(checkout, "status", "--porcelain", "--untracked-files=no")
    return f"{commit}+changes" if commit and changed else commit


def top_folder(folder: Path) -> Path | None:
    """The checkout that a folder is in; None when it is in none."""
    found = _git(folder, "rev-parse", "--show-toplevel")
    return Path(found) if found else None


def github_name(checkout: Path = _TOOLKIT) -> str | None:
    """OWNER/NAME of the GitHub repository that a checkout's origin is; never its credentials."""
    if top_folder(checkout) != checkout.resolve():
        return None
    address = _git(checkout, "config", "--get", "remote.origin.url") or ""
    # scp's form, git@github.com:owner/name, as a URL.
    url = urlsplit(address if "://" in address else "ssh://" + address.replace(":", "/", 1))
    name = url.path.strip("/").removesuffix(".git")
    return name if url.hostname == "github.com" and name.count("/") == 1 else None


def _git(folder: Path, *arguments: str) -> str | None:
    """What git says of a folder; None where it fails or is not installed."""
    environment = child_environment()
    command = [*alone(environment), "git", "-c", "core.fsmonitor=false", *arguments]
    try:
        return Git(folder).execute(command, env=environment, kill_after_timeout=_LIMIT)
    except GitError:
        return None
