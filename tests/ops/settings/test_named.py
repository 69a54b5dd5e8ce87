from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hub_world import SPACE

from ops.config import SecretSource
from ops.errors import ConfigError, Exit
from ops.given_values import Given
from ops.redaction import HIDDEN, redacted
from ops.settings.named import set_secrets, set_variables, unset

if TYPE_CHECKING:
    from conftest import Desk

KEY = "sk-Zq3vN8rT1xWm5LbY7cHd2FgJ"
RANDOM = "Zq3vN8rT1xWm5LbY7cHd2FgJ"
SECRETS, VARIABLES = f"/api/spaces/{SPACE}/secrets", f"/api/spaces/{SPACE}/variables"


def given(**values: str) -> list[Given]:
    """Values as if they were lines of a file."""
    return [Given(k, v, f"line {n}") for n, (k, v) in enumerate(values.items(), start=1)]


def test_secrets_reach_the_app(running: Desk) -> None:
    """Each is one request; it is waited for once, and the app that answers then has them."""
    done = set_secrets(running.writer(), given(A="first-value", B="second-value"))
    assert running.writes() == [f"POST {SECRETS}", f"POST {SECRETS}"]
    assert [(c.kind, c.field, c.name, c.after) for c in done.changes] == [
        ("add", "secret", "A", None),
        ("add", "secret", "B", None),
    ]
    assert done.seconds is not None
    assert running.hub.secrets(SPACE) == {"A", "B"}
    assert running.world.api.get_space_runtime(SPACE).stage == "RUNNING"
    assert len(running.world.runner.started) > 1


def test_a_secret_that_is_so_already_is_not_written(desk: Desk) -> None:
    """This machine knows by its hash what it wrote; another value, or another hand, is written."""
    set_secrets(desk.writer(), given(A="first-value", B="second-value"))
    desk.world.hub.faults.mark()
    done = set_secrets(desk.writer(), given(A="first-value", B="other-value"))
    assert desk.writes() == [f"POST {SECRETS}"]
    assert (done.unchanged, [c.name for c in done.changes]) == (("A",), ["B"])
    desk.world.api.add_space_secret(SPACE, "A", "somebody-elses")
    again = set_secrets(desk.writer(), given(A="first-value"))
    assert [(c.kind, c.before) for c in again.changes] == [("change", "not known on this machine")]


def test_what_is_known_of_other_secrets_is_kept(desk: Desk) -> None:
    """Setting one does not forget what was written before."""
    set_secrets(desk.writer(), given(A="first-value"))
    set_secrets(desk.writer(), given(B="second-value"))
    assert set_secrets(desk.writer(), given(A="first-value", B="second-value")).changes == ()


def test_variables_that_differ_are_written(running: Desk) -> None:
    """One with its value already is left alone; nothing at all to write starts nothing."""
    done = set_variables(running.writer(), given(A="1", B="2"))
    assert [c.after for c in done.changes] == ["1", "2"]
    started = len(running.world.runner.started)
    running.world.hub.faults.mark()
    again = set_variables(running.writer(), given(A="1", B="2"))
    assert (again.changes, again.unchanged, again.seconds) == ((), ("A", "B"), None)
    assert running.writes() == []
    assert len(running.world.runner.started) == started
    changed = set_variables(running.writer(wait=False), given(A="1", B="3"))
    assert [(c.name, c.before, c.after) for c in changed.changes] == [("B", "2", "3")]
    assert changed.seconds is None
    assert running.hub.variables(SPACE) == {"A": "1", "B": "3"}


def test_a_name_is_never_used_for_both(desk: Desk) -> None:
    """The Hub would refuse the Space: nothing is written, not even the rest of the batch."""
    desk.world.api.add_space_secret(SPACE, "S", "x")
    desk.world.api.add_space_variable(SPACE, "V", "x")
    desk.world.hub.faults.mark()
    with pytest.raises(ConfigError, match="S: the Space has a secret of that name") as caught:
        set_variables(desk.writer(), given(A="1", S="2"))
    assert "ops settings secrets unset S" in str(caught.value.next_step)
    with pytest.raises(ConfigError, match="V: the Space has a variable of that name"):
        set_secrets(desk.writer(), given(A="1", V="2"))
    assert desk.writes() == []


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [("A", KEY, "an API key"), ("EMBED_API_KEYS", "mem0=x", "a key of the app")],
)
def test_a_key_is_no_variable(desk: Desk, name: str, value: str, kind: str) -> None:
    """Its form tells that it is secret: refused, and not repeated, whatever is agreed to."""
    with pytest.raises(ConfigError, match=kind) as caught:
        set_variables(desk.writer(), given(**{name: value}))
    assert caught.value.exit_code is Exit.USAGE
    assert value not in f"{caught.value} {vars(caught.value)}"
    assert (desk.writes(), desk.asked) == ([], 0)


def test_what_may_be_a_key_is_asked_about(desk: Desk) -> None:
    """Random text is written only when somebody agrees."""

    def refuse() -> None:
        raise ConfigError("no")

    with pytest.raises(ConfigError, match="no"):
        set_variables(desk.writer(agree=refuse), given(A=RANDOM))
    assert desk.writes() == []
    set_variables(desk.writer(), given(A=RANDOM))
    assert desk.asked == 1
    said = "A (line 1) might be a secret (random text, as keys are); variables are public."
    assert said in desk.said
    assert redacted(RANDOM) == HIDDEN  # until somebody agrees, no screen shows it
    assert desk.hub.variables(SPACE) == {"A": RANDOM}


def test_a_name_that_calls_its_value_secret_is_asked_about(desk: Desk) -> None:
    """However short the value is; what space.toml calls no secret is none."""
    set_variables(desk.writer(), given(DB_PASSWORD="summer"))
    assert desk.asked == 1
    with desk.path.open("a") as file:
        file.write('not_secret = ["variables.A"]\n')
    set_variables(desk.writer(), given(A=RANDOM))
    assert desk.asked == 1


def test_an_empty_secret_is_refused(desk: Desk) -> None:
    """A line such as `KEYS=` in a .env is a mistake."""
    with pytest.raises(ConfigError, match=r"B \(line 2\) has no value"):
        set_secrets(desk.writer(), given(A="x", B=""))
    assert desk.writes() == []


def test_unset(desk: Desk) -> None:
    """What is there is removed, once however often it is named; the rest is said to be gone."""
    set_secrets(desk.writer(), given(S="x"))
    set_variables(desk.writer(), given(V="1"))
    desk.world.hub.faults.mark()
    done = unset(desk.writer(), "variable", ["V", "V", "NONE"])
    assert [(c.kind, c.name, c.before) for c in done.changes] == [("remove", "V", "1")]
    assert done.unchanged == ("NONE",)
    assert "NONE: nothing to do" in desk.said
    gone = unset(desk.writer(), "secret", ["S"])
    assert [(c.kind, c.name, c.before) for c in gone.changes] == [("remove", "S", None)]
    assert desk.writes() == [f"DELETE {VARIABLES}", f"DELETE {SECRETS}"]
    assert (desk.hub.secrets(SPACE), desk.hub.variables(SPACE)) == (frozenset(), {})
    with pytest.raises(ConfigError, match="argument 1"):
        unset(desk.writer(), "secret", ["no name"])


def test_saved_variables(desk: Desk) -> None:
    """space.toml gets what the Hub gets, and loses what the Hub loses."""
    desk.path.write_text(f'{desk.path.read_text()}\n[variables]  # public\nOLD = "1"\n')
    desk.world.api.add_space_variable(SPACE, "OLD", "1")
    assert set_variables(desk.writer(save=True), given(NEW="x")).saved == str(desk.path)
    unset(desk.writer(save=True), "variable", ["OLD"])
    assert desk.path.read_text() == (
        f'[space]\nrepo_id = "{SPACE}"  # ours\n\n[variables]  # public\nNEW = "x"\n'
    )


def test_saved_secrets_are_sources(desk: Desk) -> None:
    """Never values: where each comes from. What the file says already stays, unless told anew."""
    set_secrets(desk.writer(save=True), given(A="first-value"))
    question = SecretSource(prompt=True)
    set_secrets(desk.writer(save=True), given(B="x1"), source=question)
    set_secrets(desk.writer(save=True), given(A="x2"), source=question)
    config = desk.writer().config
    assert config.secrets == {"A": SecretSource(env="A"), "B": question}
    assert "space.toml relies on the environment then: set A for ops deploy." in desk.said
    file = SecretSource(file="keys/a")
    done = set_secrets(desk.writer(save=True), given(A="x2"), source=file)
    assert (done.changes, done.saved) == ((), str(desk.path))
    assert desk.writer().config.secrets == {"A": file, "B": question}
    assert "first-value" not in desk.path.read_text()


def test_an_environment_has_its_own_tables(desk: Desk) -> None:
    """What is common to all cannot be unset for one of them: then nothing is, on either side."""
    desk.path.write_text(
        f'[space]\nrepo_id = "me/other"\n[variables]\nV = "1"\n'
        f'[environments.staging.space]\nrepo_id = "{SPACE}"\n'
    )
    set_variables(desk.writer("staging", save=True), given(W="2"))
    assert desk.path.read_text().endswith('[environments.staging.variables]\nW = "2"\n')
    desk.world.api.add_space_variable(SPACE, "V", "1")
    desk.world.hub.faults.mark()
    before = desk.path.read_text()
    with pytest.raises(ConfigError, match="not the environment's own"):
        unset(desk.writer("staging", save=True), "variable", ["V"])
    assert desk.writes() == []
    assert desk.path.read_text() == before


def test_a_collision_in_the_file_stops_it(desk: Desk) -> None:
    """With --save, a name that is a variable in space.toml is no secret on the Hub either."""
    desk.path.write_text(f'{desk.path.read_text()}[variables]\nA = "1"\n')
    with pytest.raises(ConfigError, match="Not saved, for then"):
        set_secrets(desk.writer(save=True), given(A="x"))
    assert desk.writes() == []
