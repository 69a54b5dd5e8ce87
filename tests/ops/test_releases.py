from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from deploying import app, config, deploy, hub_of
from fakes.runner import FakeRunner
from hub_world import SPACE, hub_world

from ops import releases as verb
from ops.canaries import Canaries
from ops.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hub_world import World

VECTORS = Canaries(fingerprint="f", vectors=())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A Hub with a Space of two releases."""
    with hub_world(tmp_path_factory.mktemp("hub"), FakeRunner(app)) as world:
        deploy(world, config(title="First"))
        deploy(world, config(title="Second"))
        yield world


def record(number: int, commit: str) -> verb.Record:
    """A record of a commit that was never deployed."""
    return verb.Record(
        number=number,
        commit=commit,
        time=datetime(2026, 1, 2, tzinfo=UTC),
        toolkit="0",
        toolkit_commit=None,
        model="some/model",
        revision="main",
        fingerprint="f",
        p50_ms=None,
        settings=verb.Settings(
            visibility="private", hardware="cpu-basic", sleep_time=None, variables={}, secrets={}
        ),
    )


def test_they_are_listed_newest_first(world: World) -> None:
    """Each with its commit, model and fingerprint; the newest is marked as what runs."""
    found = verb.listed(hub_of(world), SPACE)
    second, first = verb.lines(found)
    assert second.startswith("release-2 ")
    assert second.endswith("runs now")
    assert first.startswith("release-1 ")
    assert "BAAI/bge-base-en-v1.5  00000000" in first
    assert [release["number"] for release in found.data()["releases"]] == [2, 1]
    assert found.data()["releases"][0]["settings"]["hardware"] == "cpu-basic"


def test_records_are_on_a_branch_of_their_own(world: World) -> None:
    """Nothing else lies there, and it is not what the Space is built from."""
    hub = hub_of(world)
    head = hub.refs(SPACE).branches[verb.BRANCH]
    assert set(hub.files(SPACE, head)) == {"releases.jsonl", "canaries.json"}
    space = hub.space(SPACE)
    assert space is not None
    assert hub.runtime(SPACE).commit == space.commit


def test_an_interrupted_record_is_written_again(world: World) -> None:
    """A record whose tag was never made is of no release; the next one takes its number."""
    hub = hub_of(world)
    commit = verb.read(hub, SPACE).all[0].commit
    verb.keep(hub, SPACE, record(3, commit), VECTORS)
    world.api.delete_tag(SPACE, tag="release-3", repo_type="space")
    assert [release.number for release in verb.read(hub, SPACE).all] == [1, 2]
    kept = verb.keep(hub, SPACE, record(3, commit), VECTORS)
    last = verb.read(hub, SPACE).last
    assert last == kept
    world.api.delete_tag(SPACE, tag="release-3", repo_type="space")


def test_a_tag_made_by_hand_is_a_release_without_a_record(world: World) -> None:
    """It is listed, and says that nothing is known of it."""
    hub = hub_of(world)
    commit = verb.read(hub, SPACE).all[0].commit
    hub.tag(SPACE, "release-7", commit=commit, message="by hand")
    try:
        assert "no record" in next(verb.lines(verb.listed(hub, SPACE)))
    finally:
        world.api.delete_tag(SPACE, tag="release-7", repo_type="space")


@pytest.mark.parametrize("name", ["release-007", "release-٣", "release-next"])
def test_a_tag_that_only_looks_like_one_is_none(world: World, name: str) -> None:
    """Somebody's own tag, of a number that no release has, is left out."""
    hub = hub_of(world)
    before = verb.read(hub, SPACE).all
    tags = {**hub.tags(SPACE), name: before[0].commit}
    assert verb.names(tags) == ["release-1", "release-2"]
    world.api.create_tag(SPACE, tag=name, revision=before[0].commit, repo_type="space")
    try:
        assert verb.read(hub, SPACE).all == before
    finally:
        world.api.delete_tag(SPACE, tag=name, repo_type="space")


def test_a_time_without_a_zone_is_no_record(world: World) -> None:
    """A line that was edited so is damaged: nothing is known of its release, which stays."""
    hub = hub_of(world)
    head = hub.refs(SPACE).branches[verb.BRANCH]
    text = hub.read_file(SPACE, "releases.jsonl", head)
    zoneless = re.sub(rb'("time":"[^"]*)Z"', rb'\1"', text)
    assert zoneless != text
    for content in (zoneless, text):
        head = hub.commit(
            SPACE,
            add={"releases.jsonl": content},
            delete=(),
            title="By hand",
            description="",
            parent=head,
            branch=verb.BRANCH,
        )
        damaged = [release.record is None for release in verb.read(hub, SPACE).all]
        assert damaged == [content is zoneless] * 2


def test_a_space_that_is_not_there_is_told(world: World) -> None:
    """As by every other command."""
    with pytest.raises(ConfigError, match="no Space me/none"):
        verb.listed(hub_of(world), "me/none")
