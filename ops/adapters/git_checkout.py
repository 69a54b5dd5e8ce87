"""Which commit of this toolkit is running, and where it comes from."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from git import GitCommandNotFound, InvalidGitRepositoryError, NoSuchPathError, Repo

_TOOLKIT = Path(__file__).resolve().parents[2]
_MISSING = (InvalidGitRepositoryError, NoSuchPathError, GitCommandNotFound)


def source_commit(checkout: Path = _TOOLKIT) -> str | None:
    """The toolkit's commit, with "+changes" when its checkout differs; None outside a checkout."""
    try:
        with Repo(checkout) as repo:
            if not repo.head.is_valid():
                return None
            return repo.head.commit.hexsha + ("+changes" if repo.is_dirty() else "")
    except _MISSING:
        return None


def top_folder(folder: Path) -> Path | None:
    """The checkout that a folder is in; None when it is in none."""
    try:
        with Repo(folder, search_parent_directories=True) as repo:
            return Path(repo.working_dir)
    except _MISSING:
        return None


def github_name(checkout: Path = _TOOLKIT) -> str | None:
    """OWNER/NAME of the GitHub repository that a checkout's origin is; never its credentials."""
    try:
        with Repo(checkout) as repo:
            address = next((remote.url for remote in repo.remotes if remote.name == "origin"), "")
    except _MISSING:
        return None
    # scp's form, git@github.com:owner/name, as a URL.
    url = urlsplit(address if "://" in address else "ssh://" + address.replace(":", "/", 1))
    name = url.path.strip("/").removesuffix(".git")
    return name if url.hostname == "github.com" and name.count("/") == 1 else None
