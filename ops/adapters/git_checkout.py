"""Which commit of this toolkit is running: the only importer of git."""

from __future__ import annotations

from pathlib import Path

from git import GitCommandNotFound, InvalidGitRepositoryError, Repo


def source_commit() -> str | None:
    """The toolkit's commit, with "+changes" when its checkout differs; None outside a checkout."""
    try:
        with Repo(Path(__file__).resolve().parents[2]) as repo:
            if not repo.head.is_valid():
                return None
            return repo.head.commit.hexsha + ("+changes" if repo.is_dirty() else "")
    except (InvalidGitRepositoryError, GitCommandNotFound):
        return None
