"""A Space that runs, its space.toml, and what writes to both."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from fakes.embedding_server import embedding_app
from fakes.runner import FakeRunner
from hub_world import SPACE, WRITE, hub_world

from ops.adapters.hf_hub import Hub
from ops.adapters.retries import Retries
from ops.config_edit import SpaceFile
from ops.settings.change import Writer
from ops.watch import Patience

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hub_world import World


@dataclass
class Desk:
    """Where somebody sits who changes settings.

    `said` is what they are told, `asked` how often they are asked.
    """

    world: World
    folder: Path
    said: list[str] = field(default_factory=list)
    asked: int = 0
    wait: bool = False

    @property
    def hub(self) -> Hub:
        return Hub(self.world.hub.endpoint, WRITE, retries=Retries(tries=2, first_wait=0))

    @property
    def path(self) -> Path:
        return self.folder / "space.toml"

    @property
    def state_file(self) -> Path:
        return self.folder / "written.json"

    def writer(self, environment: str | None = None, **options: Any) -> Writer:
        """What carries changes out, in no time."""
        file = SpaceFile(self.path, environment)
        return Writer(
            hub=self.hub,
            config=file.config(),
            file=file,
            say=self.said.append,
            agree=options.pop("agree", self._agree),
            wait=options.pop("wait", self.wait),
            patience=Patience(limit=20, poll=0.05, settle=0.2),
            state_file=self.state_file,
            **options,
        )

    def _agree(self) -> None:
        self.asked += 1

    def writes(self) -> list[str]:
        """Method and path of what was asked of the Hub to change since it was marked."""
        return [
            f"{seen.method} {seen.path}"
            for seen in self.world.hub.faults.seen
            if seen.method not in ("GET", "HEAD")
        ]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A Space me/app without files, and a space.toml that says nothing but its name."""
    (tmp_path / "space.toml").write_text(f'[space]\nrepo_id = "{SPACE}"  # ours\n')
    with hub_world(tmp_path / "hub", FakeRunner(lambda _: embedding_app())) as world:
        world.create()
        world.hub.faults.mark()
        yield Desk(world, tmp_path)


@pytest.fixture
def running(desk: Desk) -> Desk:
    """The same with a Space that runs, so that there is something to wait for."""
    desk.world.push({})
    desk.world.wait_for_stage("RUNNING")
    desk.world.hub.faults.mark()
    desk.wait = True
    return desk
