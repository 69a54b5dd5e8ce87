"""Names that the Hub gives out, and those that it refuses."""

from __future__ import annotations

import re
from typing import Any

from ops.hub.errors import bad_request

_VARIABLE = re.compile(r"[a-zA-Z][_a-zA-Z0-9]*")
"""Of variables and secrets, as the Hub's OpenAPI description has them."""
_REPOSITORY = re.compile(r"\b[\w\-.]{1,96}\b", re.ASCII)
"""As the Hub's client has it (`utils/_validators.py`, "Rules")."""


def checked_name(name: Any) -> str:
    """The name of a variable or secret; raises HubError when it cannot be one."""
    if not isinstance(name, str) or not _VARIABLE.fullmatch(name):
        raise bad_request(f"A name must match ^{_VARIABLE.pattern}$")
    return name


def can_be_repository_name(name: str) -> bool:
    """Whether a repository, or its owner, can have that name."""
    if "--" in name or ".." in name or name.lower().endswith(".git"):
        return False
    return _REPOSITORY.fullmatch(name) is not None


def checked_repository_name(name: Any) -> str:
    """The name of a repository, without its owner; raises HubError when it cannot be one."""
    if not isinstance(name, str) or not can_be_repository_name(name):
        raise bad_request(
            "A repository's name has 1 to 96 letters, digits, -, _ and ., "
            "does not begin or end with - or ., nor end with .git, and holds no -- or .."
        )
    return name


def split_id(repo_id: Any) -> tuple[str, str]:
    """Owner and name of `owner/name`; raises HubError when it is nothing of the kind."""
    owner, slash, name = repo_id.partition("/") if isinstance(repo_id, str) else ("", "", "")
    if not slash:
        raise bad_request("A repository is named OWNER/NAME")
    return checked_repository_name(owner), checked_repository_name(name)
