from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hub_world import SPACE

from ops.config_edit import Edit
from ops.errors import BuildFailed, ConfigError, Conflict, OpsError
from ops.given_values import Given
from ops.hub.fault_text import parse
from ops.plan import SettingChange, make_plan, of_config
from ops.render import render
from ops.settings.change import Proposed, Step
from ops.settings.named import set_secrets, set_variables
from ops.settings.space import set_hardware, set_visibility

if TYPE_CHECKING:
    from conftest import Desk

GIVEN = [Given("A", "first-value", "line 1"), Given("B", "second-value", "line 2")]


@pytest.mark.parametrize("verb", [set_secrets, set_variables])
def test_a_dry_run_touches_nothing(desk: Desk, verb: object) -> None:
    """It says all that would happen, space.toml included, and asks nobody."""
    before = desk.path.read_text()
    done = verb(desk.writer(dry_run=True, save=True), GIVEN)  # type: ignore[operator]
    assert [c.name for c in done.changes] == ["A", "B"]
    assert done.saved == str(desk.path)
    assert any(line.startswith(f"{desk.path}: +A = ") for line in desk.said)
    assert (desk.writes(), desk.asked) == ([], 0)
    assert desk.path.read_text() == before
    assert not desk.state_file.exists()


def test_nobody_agrees(desk: Desk) -> None:
    """Nothing is touched then, and no half of it is left behind."""

    def refuse() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        set_hardware(desk.writer(agree=refuse, save=True), "t4-small")
    assert desk.writes() == []
    assert {path.name for path in desk.folder.iterdir()} <= {"space.toml", "hub"}


def test_the_plan_finds_no_setting_to_change(desk: Desk) -> None:
    """Once saved, space.toml and the Space agree in every setting, secrets and all."""
    set_secrets(desk.writer(save=True), GIVEN)
    set_variables(desk.writer(save=True), [Given("V", "1", "line 1")])
    set_visibility(desk.writer(save=True), "protected")
    set_hardware(desk.writer(save=True), "cpu-upgrade")
    writer = desk.writer()
    space = writer.space()
    values = {one.name: one.value for one in GIVEN}
    wanted = of_config(writer.config, render(writer.config), values)
    plan = make_plan(desk.hub, SPACE, wanted, writer.written(space))
    assert plan.settings == ()


def test_a_paused_space_stays_paused(running: Desk) -> None:
    """It is not started, and so not waited for."""
    running.world.api.pause_space(SPACE)
    running.world.wait_for_stage("PAUSED")
    done = set_variables(running.writer(), GIVEN)
    assert done.seconds is None
    assert f"{SPACE} is PAUSED: it takes this up when it is started." in running.said
    assert running.hub.runtime(SPACE).stage == "PAUSED"


def test_what_was_done_before_a_failure_is_said(desk: Desk) -> None:
    """The second request fails: the first stays, space.toml is as it was, a second run goes on."""
    before = desk.path.read_text()
    desk.world.hub.faults.add(
        parse(f"status 500 skip=1 times=2 POST /api/spaces/{SPACE}/variables")
    )
    with pytest.raises(OpsError) as caught:
        set_variables(desk.writer(save=True), GIVEN)
    assert caught.value.aftermath == (
        f"On the Hub already: variable A. {desk.path} is as it was. Run it again to go on."
    )
    assert desk.path.read_text() == before
    assert not list(desk.folder.glob(".*"))
    desk.world.hub.faults.clear()
    done = set_variables(desk.writer(save=True), GIVEN)
    assert (done.unchanged, [c.name for c in done.changes]) == (("A",), ["B"])


def test_an_interruption_says_where_it_stopped(desk: Desk) -> None:
    """Ctrl-C between two requests: what is on the Hub is named, and space.toml is as it was."""
    before = desk.path.read_text()
    writer = desk.writer(save=True)

    def interrupt() -> None:
        raise KeyboardInterrupt

    first = Step(SettingChange("variable", "add", "A"), lambda: None)
    second = Step(SettingChange("variable", "add", "B"), interrupt)
    edits = (Edit("variables", "A", "1"),)
    with pytest.raises(KeyboardInterrupt):
        writer.carry_out(Proposed(writer.space(), (first, second), edits))
    assert desk.said[-1].startswith("On the Hub already: variable A.")
    assert desk.path.read_text() == before


def test_an_edit_of_the_file_meanwhile_is_kept(desk: Desk) -> None:
    """Whoever saves space.toml in an editor during the request loses nothing."""
    writer = desk.writer(save=True)

    def edited_meanwhile() -> None:
        desk.path.write_text(f'[space]\nrepo_id = "{SPACE}"\ntitle = "Mine"\n')

    step = Step(SettingChange("variable", "add", "A"), edited_meanwhile)
    done = writer.carry_out(Proposed(writer.space(), (step,), (Edit("variables", "A", "1"),)))
    assert done.saved == str(desk.path)
    assert desk.path.read_text() == (
        f'[space]\nrepo_id = "{SPACE}"\ntitle = "Mine"\n\n[variables]\nA = "1"\n'
    )


def test_what_cannot_be_saved_any_more_is_said(desk: Desk) -> None:
    """The Hub has the setting, the file has not: both are named, with what to write."""
    writer = desk.writer(save=True)

    def broken_meanwhile() -> None:
        desk.path.write_text("[space")

    step = Step(SettingChange("variable", "add", "A"), broken_meanwhile)
    with pytest.raises(Conflict) as caught:
        writer.carry_out(Proposed(writer.space(), (step,), (Edit("variables", "A", "1"),)))
    assert caught.value.aftermath == (
        f"The Hub has the new variable A; {desk.path} doesn't say so yet."
    )
    assert caught.value.next_step == f'Correct {desk.path}, then add A = "1" to [variables].'
    assert desk.path.read_text() == "[space"


def test_a_space_that_does_not_come_up_again(running: Desk) -> None:
    """The failure is the Space's, with its exit code; what was set is set."""
    running.world.push({"FAIL_BUILD": b"broken"})
    running.world.wait_for_stage("BUILD_ERROR")
    with pytest.raises(BuildFailed) as caught:
        set_variables(running.writer(), GIVEN)
    assert caught.value.aftermath == "What was to be set is set."
    assert set(running.hub.variables(SPACE)) == {"A", "B"}


def test_no_such_space(desk: Desk) -> None:
    """As with every command: exit code 2, and what creates it."""
    desk.path.write_text('[space]\nrepo_id = "me/none"\n')
    with pytest.raises(ConfigError, match="no Space me/none"):
        set_variables(desk.writer(), GIVEN)
