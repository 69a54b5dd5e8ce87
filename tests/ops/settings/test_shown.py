from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hub_world import SPACE

from ops.errors import ConfigError
from ops.given_values import Given
from ops.secret_values import SecretReader
from ops.settings.named import set_secrets
from ops.settings.shown import show
from ops.settings.space import set_visibility

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conftest import Desk

    from ops.settings.shown import Shown

VALUE = "a-secret-value"


def shown(desk: Desk, environment: Mapping[str, str] | None = None) -> Shown:
    """What is shown where these environment variables are set."""
    reader = SecretReader(desk.folder, environment or {}, ask=None)
    return show(desk.hub, desk.writer().config, reader, desk.state_file)


def verdicts(found: Shown) -> dict[str, str]:
    """The verdict on each setting."""
    return {f"{one.field} {one.name}".rstrip(): one.verdict for one in found.settings}


def test_a_space_as_space_toml_has_it(desk: Desk) -> None:
    """Everything agrees, and the cost is that of its hardware."""
    found = shown(desk)
    assert set(verdicts(found).values()) == {"agrees"}
    assert (found.repo_id, found.cost_per_hour, found.cost_per_month) == (SPACE, 0, 0)
    assert [one.value for one in found.settings] == ["private", "cpu-basic", "172800"]


def test_what_is_not_as_space_toml_has_it(desk: Desk) -> None:
    """Each difference is shown where it is."""
    desk.path.write_text(
        f'{desk.path.read_text()}hardware = "t4-small"\nsleep_time = 600\n'
        '[variables]\nSAME = "1"\nOTHER = "1"\nWANTED = "1"\n'
        '[secrets]\nWANTED_S = { file = "keys/s" }\n'
    )
    for name, value in (("SAME", "1"), ("OTHER", "2"), ("EXTRA", "3")):
        desk.world.api.add_space_variable(SPACE, name, value)
    desk.world.api.add_space_secret(SPACE, "EXTRA_S", VALUE)
    set_visibility(desk.writer(), "public")
    found = shown(desk)
    assert verdicts(found) == {
        "visibility": "differs",
        "hardware": "differs",
        "sleep time": "differs",
        "variable EXTRA": "not in space.toml",
        "variable OTHER": "differs",
        "variable SAME": "agrees",
        "variable WANTED": "not on the Hub",
        "secret EXTRA_S": "not in space.toml",
        "secret WANTED_S": "not on the Hub",
    }
    rows = {one.row() for one in found.settings if one.field != "secret"}
    assert ("variable OTHER", "2", "not as in space.toml: 1") in rows
    assert ("hardware", "cpu-basic", "not as in space.toml: t4-small") in rows
    assert ("sleep time", "172800 s", "not as in space.toml: 600 s") in rows
    page = list(found.lines())
    assert page[0] == f"{SPACE} is {found.stage}; its hardware costs: free"
    assert len(page) == 1 + len(found.settings)


def test_secrets_are_compared_where_that_is_possible(desk: Desk) -> None:
    """By the hash of what was written here; no value is shown, and none is asked for."""
    desk.path.write_text(
        f'{desk.path.read_text()}[secrets]\nA = {{ env = "A" }}\nB = {{ prompt = true }}\n'
    )
    given = [Given("A", VALUE, ""), Given("B", VALUE, "")]
    set_secrets(desk.writer(), given)
    found = {value: verdicts(shown(desk, {"A": value})) for value in (VALUE, "other", "")}
    assert [found[value]["secret A"] for value in found] == ["agrees", "differs", "not known"]
    assert {of["secret B"] for of in found.values()} == {"not known"}
    assert VALUE not in repr(shown(desk, {"A": VALUE}))


def test_nothing_of_a_value_is_obeyed_by_a_terminal(desk: Desk) -> None:
    """A variable that somebody else set may hold anything: it stays on its line."""
    desk.world.api.add_space_variable(SPACE, "V", "1\n2\x1b[31m")
    row = next(one for one in shown(desk).settings if one.name == "V")
    assert row.line() == 'V="1\\n2\\u001b[31m"'
    assert all(line.isprintable() for line in shown(desk).lines())


def test_no_such_space(desk: Desk) -> None:
    """As with every command."""
    desk.path.write_text('[space]\nrepo_id = "me/none"\n')
    with pytest.raises(ConfigError, match="no Space me/none"):
        shown(desk)
