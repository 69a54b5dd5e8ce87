"""`ops open`: where a Space is to be seen, on the Hub and by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ops.errors import OpsError
from ops.find_space import find_space

if TYPE_CHECKING:
    from ops.adapters.hf_hub import Hub


@dataclass(frozen=True)
class Addresses:
    """A Space's page on the Hub, and the app's own origin."""

    repo_id: str
    page: str
    app: str


def addresses(hub: Hub, repo_id: str) -> Addresses:
    """Look them up.

    Raises:
        ConfigError: there is no such Space.
    """
    space = find_space(hub, repo_id)
    found = Addresses(space.repo_id, f"{hub.endpoint}/spaces/{space.repo_id}", space.url)
    for url in (found.page, found.app):
        # It is handed to the desktop, which opens more than web pages.
        if not url.startswith(("https://", "http://")):
            raise OpsError(
                f"The Hub's address for {space.repo_id} is none of a web page: {url!r}.",
                next_step="Check HF_ENDPOINT.",
            )
    return found
