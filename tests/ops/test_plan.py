from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from fakes.embedding_server import APP_KEY, embedding_app
from fakes.runner import FakeRunner
from hub_world import SPACE, WRITE, World, hub_world

from ops import deploy as deployment
from ops import plan as verb
from ops.adapters.hf_hub import Hub
from ops.config import Config
from ops.render import render
from ops.watch import Patience
from ops.written import Written

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRETS = {"EMBED_API_KEYS": f"mem0={APP_KEY}"}


@pytest.fixture(scope="module", name="world")
def _world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A Hub with a proven Space; a test leaves it so, or deploys it back."""
    runner = FakeRunner(lambda _: embedding_app(None))
    with hub_world(tmp_path_factory.mktemp("hub"), runner) as world:
        deploy(world)
        yield world


def config(variables: dict[str, str] | None = None, **more: Any) -> Config:
    """A Space called me/app."""
    space = {"repo_id": SPACE, **more.pop("space", {})}
    secrets = {name: {"env": name} for name in SECRETS}
    given = {"V": "1"} if variables is None else variables
    return Config.model_validate({"space": space, "secrets": secrets, "variables": given, **more})


def deploy(world: World) -> None:
    """Make the Space what `config()` says."""
    request = deployment.Request(
        config(),
        SECRETS,
        patience=Patience(limit=30, poll=0.05),
        state_file=world.hub.data / "written.json",
    )
    deployment.deploy(hub(world), request, say=print, on_check=print)


def hub(world: World) -> Hub:
    """The Hub as the Space's owner sees it."""
    return Hub(world.hub.endpoint, WRITE)


def plan(
    world: World, wanted: Config, secrets: dict[str, str] | None = None, repo_id: str = SPACE
) -> verb.Plan:
    """What a deploy of `wanted` would do."""
    written = Written(f"{world.hub.endpoint} {repo_id}", world.hub.data / "written.json")
    given = SECRETS if secrets is None else secrets
    return verb.make_plan(hub(world), repo_id, wanted, render(wanted), given, written)


def test_nothing_to_do(world: World) -> None:
    """Right after a deploy there is nothing, and it says so."""
    found = plan(world, config())
    assert not found
    assert list(verb.lines(found)) == [
        f"Nothing to do: {SPACE} is what space.toml says, and proven."
    ]


def test_it_writes_nothing(world: World) -> None:
    """A plan asks, and changes nothing."""
    world.hub.faults.mark()
    plan(world, config(space={"title": "Another", "hardware": "cpu-upgrade"}))
    assert {seen.method for seen in world.hub.faults.seen} <= {"GET", "HEAD"}


def test_a_file_is_shown_with_what_changes(world: World) -> None:
    """A changed title is a change of the README alone, as a diff."""
    found = plan(world, config(space={"title": "Another"}))
    (change,) = found.files
    assert (change.path, change.kind, change.drift) == ("README.md", "change", False)
    assert "+title: Another\n" in change.diff
    assert "-title: Embedding API\n" in change.diff


def test_settings_are_shown(world: World) -> None:
    """Hardware with its price, variables with their values."""
    wanted = config({"W": "2"}, space={"hardware": "cpu-upgrade", "sleep_time": 600})
    found = plan(world, wanted)
    lines = list(verb.lines(found))
    assert "~ hardware: cpu-basic -> cpu-upgrade" in lines
    assert "~ sleep time: 172800 -> 600" in lines
    assert "- variable V: removed (was 1)" in lines
    assert "+ variable W: 2" in lines
    assert (found.cost_before, round(found.cost_after or 0, 2)) == (0, 21.9)


def test_secrets_are_told_apart_without_their_values(world: World) -> None:
    """Unchanged ones are not written; a changed one is named, and its value is nowhere."""
    changed = plan(world, config(), {"EMBED_API_KEYS": "mem0=another-secret"})
    assert list(verb.lines(changed)) == ["~ secret EMBED_API_KEYS: written again (changed)"]
    assert "another-secret" not in json.dumps(changed.data())
    elsewhere = Written(f"{world.hub.endpoint} {SPACE}", world.hub.data / "elsewhere.json")
    unknown = verb.make_plan(hub(world), SPACE, config(), render(config()), SECRETS, elsewhere)
    assert list(verb.lines(unknown)) == [
        "~ secret EMBED_API_KEYS: written again (not known on this machine)"
    ]


def test_a_change_of_vectors_is_said(world: World) -> None:
    """Another instruction makes stored vectors incomparable."""
    found = plan(world, config(model={"query_instruction": "query: "}))
    assert found.vectors == ("query_instruction",)
    assert any(line.startswith("! vectors change") for line in verb.lines(found))


def test_a_change_made_by_hand_is_shown_as_such(world: World) -> None:
    """A file that somebody edited on the Hub is drift; deploying puts it back."""
    world.push({"README.md": b"---\nsdk: docker\n---\nby hand\n", "Dockerfile": b"FROM y\n"})
    found = plan(world, config())
    assert {change.path for change in found.files if change.drift} == {"README.md", "Dockerfile"}
    assert "(changed on the Hub since the last release)" in "\n".join(verb.lines(found))
    deploy(world)
    assert not plan(world, config())


def test_a_paused_space_is_started(world: World) -> None:
    """Nothing differs, but it does not run: that is something to do."""
    world.api.pause_space(SPACE)
    world.wait_for_stage("PAUSED")
    found = plan(world, config())
    assert found.wake
    assert list(verb.lines(found)) == ["~ it is PAUSED and will be started"]
    deploy(world)


def test_a_new_space_is_all_new(world: World) -> None:
    """Where there is no Space, everything is added."""
    found = plan(world, config(), repo_id="me/new")
    lines = list(verb.lines(found))
    assert found.live is None
    assert lines[0] == "me/new is not there yet and will be created."
    assert "+ secret EMBED_API_KEYS: added" in lines
    assert found.data()["create"]


def test_it_is_a_comment_for_a_pull_request(world: World) -> None:
    """Markdown with the summary on top and the diffs folded."""
    text = verb.markdown(plan(world, config(space={"title": "Another"})))
    assert text.startswith(f"### Plan for {SPACE}\n\n```diff\n~ README.md\n```")
    assert "<details>" in text
