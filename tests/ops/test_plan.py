from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from deploying import SECRETS, app, config, deploy, hub_of, state_file
from fakes.runner import FakeRunner
from hub_world import SPACE, World, hub_world

from ops import plan as verb
from ops.redaction import redacted
from ops.render import render
from ops.written import Written

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.config import Config, Space


@pytest.fixture(scope="module", name="world")
def _world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A Hub with a proven Space; a test leaves it so, or deploys it back."""
    with hub_world(tmp_path_factory.mktemp("hub"), FakeRunner(app)) as world:
        deploy(world, config())
        yield world


def plan(
    world: World, wanted: Config, secrets: dict[str, str] | None = None, repo_id: str = SPACE
) -> verb.Plan:
    """What a deploy of `wanted` would do."""
    hub = hub_of(world)
    written = Written(f"{hub.endpoint} {repo_id}", state_file(world))
    of = verb.of_config(wanted, render(wanted), SECRETS if secrets is None else secrets)
    return verb.make_plan(hub, repo_id, of, written)


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
    plan(world, config(title="Another", hardware="cpu-upgrade"))
    assert {seen.method for seen in world.hub.faults.seen} <= {"GET", "HEAD"}


def test_a_file_is_shown_with_what_changes(world: World) -> None:
    """A changed title is a change of the README alone, as a diff."""
    found = plan(world, config(title="Another"))
    (change,) = found.files
    assert (change.path, change.kind, change.drift) == ("README.md", "change", False)
    assert "+title: Another\n" in change.diff
    assert "-title: Embedding API\n" in change.diff


def test_settings_are_shown(world: World) -> None:
    """Hardware with its price, variables with their values."""
    wanted = config(variables={"W": "2"}, hardware="cpu-upgrade", sleep_time=600)
    found = plan(world, wanted)
    lines = list(verb.lines(found))
    assert "~ hardware: cpu-basic -> cpu-upgrade" in lines
    assert "~ sleep time: 172800 -> 600" in lines
    assert "- variable V: removed (was 1)" in lines
    assert "+ variable W: 2" in lines
    assert (found.cost_before, round(found.cost_after or 0, 2)) == (0, 21.9)


def test_a_value_stays_on_its_line(world: World) -> None:
    """Values and paths of several lines, or with what a terminal obeys, are shown as JSON has them.

    Nobody can write a line into somebody else's plan by them, or out of a comment's code block.
    """
    forged = "x\n```\n+ visibility: private\x1b[31m"
    found = plan(world, config(variables={"V": forged}))
    lines = [line for line in verb.lines(found) if "variable" in line]
    assert lines == [r'~ variable V: 1 -> "x\n```\n+ visibility: private\u001b[31m"']
    odd = verb.FileChange("a\n+ b", "add", drift=False)
    assert r'+ "a\n+ b"' in list(verb.lines(replace(found, files=(odd,))))
    ticks = verb.FileChange("a", "add", drift=False, diff="+x\n`````\n")
    assert "``````diff\n+x\n`````\n``````\n" in verb.markdown(replace(found, files=(ticks,)))


def test_what_might_be_a_secret_is_shown_before_it_is_published(world: World) -> None:
    """Its place and kind, and not its value; what is published already is not told again."""
    random = "Zq3vN8rT1xWm5LbY7cHd2FgJ"
    wanted = config(variables={"V": "1", "SALT": random}, short_description=f"At {random}.")
    found = plan(world, wanted)
    assert [(s.path, s.certain) for s in found.suspects] == [
        ("README.md", False),
        ("variables.SALT", False),
    ]
    line = "! might be a secret, and would be published: variables.SALT (random text, as keys are)"
    assert line in list(verb.lines(found))
    shown = "\n".join((*verb.lines(found), verb.markdown(found), json.dumps(found.data())))
    assert random in shown
    assert random not in redacted(shown)
    assert {s["path"] for s in found.data()["suspects"]} == {"README.md", "variables.SALT"}
    try:
        deploy(world, wanted)
        assert plan(world, wanted).suspects == ()
        opened = plan(world, wanted.model_copy(update={"space": _public(wanted)}))
        assert len(opened.suspects) == 2
    finally:
        deploy(world, config())


def _public(wanted: Config) -> Space:
    return wanted.space.model_copy(update={"visibility": "public"})


def test_secrets_are_told_apart_without_their_values(world: World) -> None:
    """Unchanged ones are not written; a changed one is named, and its value is nowhere."""
    changed = plan(world, config(), {"EMBED_API_KEYS": "mem0=another-secret"})
    assert list(verb.lines(changed)) == ["~ secret EMBED_API_KEYS: written again (changed)"]
    assert "another-secret" not in json.dumps(changed.data())
    elsewhere = Written(f"{world.hub.endpoint} {SPACE}", world.hub.data / "elsewhere.json")
    unknown = verb.make_plan(
        hub_of(world),
        SPACE,
        verb.of_config(config(), render(config()), SECRETS),
        elsewhere,
    )
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
    deploy(world, config())
    assert not plan(world, config())


def test_a_model_that_somebody_damaged_is_put_back(world: World) -> None:
    """What model.toml said is known from the last release; deploying mends the file."""
    world.push({"model.toml": b"id = "})
    assert plan(world, config()).vectors == ()
    changed = plan(world, config(model={"query_instruction": "query: "}))
    assert changed.vectors == ("query_instruction",)
    deploy(world, config())
    assert not plan(world, config())


def test_settings_changed_by_hand_are_shown_as_such(world: World) -> None:
    """What differs from space.toml because somebody set it on the Hub is marked."""
    world.api.add_space_variable(SPACE, "V", "by hand")
    found = plan(world, config(variables={"V": "1", "W": "2"}))
    assert {change.name: change.drift for change in found.settings} == {"V": True, "W": False}
    lines = list(verb.lines(found))
    assert "~ variable V: by hand -> 1  (changed on the Hub since the last release)" in lines
    agreed = plan(world, config(variables={"V": "by hand"}))
    assert not agreed.settings
    assert list(verb.lines(agreed)) == [
        "~ changed on the Hub since the last release, not proven: variable V"
    ]
    deploy(world, config())
    assert not plan(world, config())


def test_a_secret_set_by_hand_is_shown_as_such(world: World) -> None:
    """The Hub tells when a secret was set: later than at the last release is by hand."""
    world.api.add_space_secret(SPACE, "EMBED_API_KEYS", "another")
    (change,) = plan(world, config()).settings
    assert (change.field, change.drift) == ("secret", True)
    deploy(world, config())


def test_a_paused_space_is_started(world: World) -> None:
    """Nothing differs, but it does not run: that is something to do."""
    world.api.pause_space(SPACE)
    world.wait_for_stage("PAUSED")
    found = plan(world, config())
    assert found.wake
    assert list(verb.lines(found)) == ["~ it is PAUSED and will be started"]
    deploy(world, config())


def test_somebody_elses_space_is_told(world: World) -> None:
    """A plan says that a deploy would refuse it, and is silent on an empty Space and on ours."""
    name = "me/theirs"
    world.api.create_repo(name, repo_type="space", space_sdk="docker")
    assert not plan(world, config(), repo_id=name).foreign
    world.api.upload_file(
        path_or_fileobj=b"mine", path_in_repo="app.py", repo_id=name, repo_type="space"
    )
    found = plan(world, config(), repo_id=name)
    assert found.data()["foreign"]
    assert any("only ops deploy --adopt replaces its files" in line for line in verb.lines(found))
    assert not plan(world, config()).foreign


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
    text = verb.markdown(plan(world, config(title="Another")))
    assert text.startswith(f"### Plan for {SPACE}\n\n```diff\n~ README.md\n```")
    assert "<details>" in text
