"""`ops destroy`: remove a Space with all that is in it, once somebody has named it in full."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ops.errors import ConfigError
from ops.find_space import find_space
from ops.plan import look

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.adapters.hf_hub import Hub


@dataclass(frozen=True)
class Doomed:
    """What is lost with a Space."""

    repo_id: str
    url: str
    stage: str
    files: int
    variables: tuple[str, ...]
    secrets: tuple[str, ...]
    releases: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        """For people; the Hub tells no secret's value, so those are lost for good."""
        yield f"{self.repo_id} ({self.stage}) at {self.url}, which answers nobody any more"
        yield f"{self.files} files with their history"
        yield f"releases: {', '.join(self.releases) or 'none'}"
        yield f"variables: {', '.join(self.variables) or 'none'}"
        yield f"secrets: {', '.join(self.secrets) or 'none'}"


def doomed(hub: Hub, repo_id: str) -> Doomed:
    """Look at what would be lost.

    Raises:
        ConfigError: there is no such Space.
    """
    space = find_space(hub, repo_id)
    live = look(hub, space.repo_id)
    if live is None:
        raise _gone(space.repo_id)
    return Doomed(
        repo_id=space.repo_id,
        url=space.url,
        stage=live.runtime.stage,
        files=len(live.files),
        variables=tuple(sorted(live.variables)),
        secrets=tuple(sorted(live.secrets)),
        releases=tuple(release.name for release in live.releases.all),
    )


def destroy(hub: Hub, found: Doomed, *, named: str) -> None:
    """Remove it, if `named` is its full name.

    Raises:
        ConfigError: `named` is another one; nothing was touched.
    """
    if named != found.repo_id:
        raise ConfigError(
            f"Nothing was touched: {named!r} is not {found.repo_id}.",
            next_step="Write the full name, owner and all, of the Space that space.toml names.",
        )
    hub.delete_space(found.repo_id)


def _gone(repo_id: str) -> ConfigError:
    return ConfigError(f"{repo_id} went away meanwhile.", next_step="There is nothing to do.")
