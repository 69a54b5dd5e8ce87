"""A Hub whose Spaces show what they were given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fakes.runner import FakeRunner
from hub_world import hub_world

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hub_world import World


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One Hub for a module's tests: to end one takes longer than most of them."""
    with hub_world(tmp_path_factory.mktemp("hub"), FakeRunner()) as world:
        yield world


@pytest.fixture
def world(shared: World) -> Iterator[World]:
    """A Hub, its runner and its owner's client, without a repository before and after."""
    yield shared
    shared.clear()
