"""A route that tells a slash between the parts of a path from one inside a part.

The client quotes revisions, branches and paths whole (`tree/a%2Fb/folder%2Ffile`), and a server
gets paths unquoted, where both look the same.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from starlette.routing import Match, Route

if TYPE_CHECKING:
    from collections.abc import MutableMapping

_QUOTED_SLASH = re.compile(rb"%2[fF]")
_STAND_IN = "\0"
"""No path, name or revision of a repository can have it."""


class QuotingRoute(Route):
    """Matches the parts of a path as they were sent."""

    def __init__(self, *arguments: Any, **options: Any):
        """As Starlette's, but that a part may have line breaks, as names of files may."""
        super().__init__(*arguments, **options)
        pattern = self.path_regex.pattern.removesuffix("$") + r"\Z"
        self.path_regex = re.compile(pattern, re.DOTALL)

    def matches(self, scope: MutableMapping[str, Any]) -> tuple[Match, MutableMapping[str, Any]]:
        """As Starlette's route does; parameters come with their slashes."""
        raw: bytes = scope.get("raw_path") or b""
        if scope["type"] != "http" or not _QUOTED_SLASH.search(raw):
            return super().matches(scope)
        kept = _QUOTED_SLASH.sub(_STAND_IN.encode(), raw)
        match, found = super().matches({**scope, "path": unquote(kept.decode("ascii", "replace"))})
        parameters = found.get("path_params", {})
        found["path_params"] = {
            name: value.replace(_STAND_IN, "/") if isinstance(value, str) else value
            for name, value in parameters.items()
        }
        return match, found
