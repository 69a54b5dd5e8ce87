"""A Hub whose Spaces show what they were given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fakes.runner import FakeRunner
from hub_world import hub_world

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hub_world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A Hub, its runner and its owner's client."""
    with hub_world(tmp_path / "hub", FakeRunner()) as world:
        yield world
