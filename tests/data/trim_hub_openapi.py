"""Cuts the Hub's published OpenAPI description down to the replies that the local Hub gives.

Run by hand, from the repository's root, when the local Hub answers more of its paths, or when the
description is a newer one:

    PYTHONPATH=. python tests/data/trim_hub_openapi.py DESCRIPTION.json

The description is what huggingface.co serves as /.well-known/openapi.json. Left out are requests,
parameters, and the results of security scans, of which a local Hub has none; `x-paths` keeps the
name of every path, so that a test notices one that is answered and not described here.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from starlette.routing import Match

from ops.hub.api.app import _MODULES
from ops.hub.api.route import QuotingRoute

HERE = Path(__file__).parent
TRIMMED = HERE / "hub-openapi.json"
SOURCE = "https://huggingface.co/.well-known/openapi.json"
METHODS = ("get", "post", "put", "patch", "delete")
_EXAMPLES = {
    "repoType": "spaces",
    "rev": "main",
    "compare": "main..main",
    "logType": "run",
}
_REFUSED = ("/api/spaces/zero-gpu/quota",)
"""A route says that it is not there, since it looks like a repository's."""
_SCANS = "securityFileStatus"


def _routes() -> list[QuotingRoute]:
    return [
        QuotingRoute(path, print, methods=methods)
        for module in _MODULES
        for path, methods, _ in module.routes()
    ]


def is_answered(method: str, path: str) -> bool:
    """Whether a route of the local Hub is for that path of the description."""
    if path in _REFUSED:
        return False
    example = path.format_map(_Examples(_EXAMPLES))
    scope = {"type": "http", "method": method.upper(), "path": example, "raw_path": b""}
    return any(route.matches(dict(scope))[0] is Match.FULL for route in _routes())


class _Examples(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return "x"


def trimmed(description: dict[str, Any]) -> dict[str, Any]:
    """The description of what is answered."""
    paths: dict[str, dict[str, Any]] = {}
    for path, item in description["paths"].items():
        for method in METHODS:
            if method in item and is_answered(method, path):
                replies = _without_scans(item[method].get("responses", {}))
                paths.setdefault(path, {})[method] = {"responses": replies}
    everything = sorted(
        f"{method.upper()} {path}"
        for path, item in description["paths"].items()
        for method in METHODS
        if method in item
    )
    return {
        "openapi": description["openapi"],
        "info": {**description["info"], "description": f"Trimmed from {SOURCE}"},
        "paths": paths,
        "x-paths": everything,
    }


def _without_scans(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_scans(v) for k, v in value.items() if k not in (_SCANS, "$schema")}
    if isinstance(value, list):
        return [_without_scans(entry) for entry in value]
    return value


if __name__ == "__main__":
    whole = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    TRIMMED.write_text(json.dumps(trimmed(whole), indent=1) + "\n", encoding="utf-8")
