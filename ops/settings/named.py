"""`ops settings secrets` and `variables`: set, unset and import, by name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Literal

from ops.app_keys import first_key
from ops.config import NEVER_PUBLIC, SecretSource
from ops.config_edit import Edit
from ops.errors import ConfigError
from ops.given_values import require_name
from ops.plan import SettingChange
from ops.redaction import hide
from ops.secret_scan import scan_variables
from ops.settings.change import Proposed, Step

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from ops.given_values import Given
    from ops.settings.change import Changed, Writer

Kind = Literal["secret", "variable"]
_TABLES: dict[Kind, Literal["secrets", "variables"]] = {
    "secret": "secrets",
    "variable": "variables",
}


def set_secrets(
    writer: Writer, given: Sequence[Given], *, source: SecretSource | None = None
) -> Changed:
    """Set secrets, but those whose values this machine knows to be so already.

    `source` is where space.toml shall take their values from. Without one, and where it is a
    question, what it says already stays; what it does not know yet comes from the environment.

    Raises:
        ConfigError: a name is a variable's, or there is no value; nothing was written.
    """
    for one in given:
        if not one.value:
            raise ConfigError(
                f"The secret {one.name} ({one.where}) has no value.",
                next_step="Give it one, or take it away: ops settings secrets unset NAME.",
            )
        hide(one.value)
    first_key({one.name: one.value for one in given})
    space = writer.space()
    hub, repo_id, written = writer.hub, space.repo_id, writer.written(space)
    values = {one.name: one.value for one in given}
    _refuse_collisions(values, hub.variables(repo_id), "variable")
    live = hub.secret_times(repo_id)
    verdicts = written.compare(values, live)
    steps = []
    for name, value in values.items():
        if (verdict := verdicts.get(name)) == "same":
            continue
        known = "changed" if verdict == "changed" else "not known on this machine"
        change = (
            SettingChange("secret", "change", name, before=known)
            if name in live
            else SettingChange("secret", "add", name)
        )
        steps.append(Step(change, partial(hub.set_secret, repo_id, name, value)))
    edits = tuple(_secret_edits(writer, values, source))
    return writer.carry_out(
        Proposed(
            space,
            steps=tuple(steps),
            edits=edits,
            unchanged=tuple(name for name in values if verdicts.get(name) == "same"),
            notes=tuple(_sources(edits)) if writer.save else (),
            remember=lambda: written.note_secrets(values, hub.secret_times(repo_id)),
        )
    )


def set_variables(writer: Writer, given: Sequence[Given]) -> Changed:
    """Set variables, but those that have their value already.

    Raises:
        ConfigError: a name is a secret's, or a value has the form of one; nothing was written.
    """
    doubts = tuple(_suspicions(given, writer.config.space.not_secret))
    space = writer.space()
    hub, repo_id = writer.hub, space.repo_id
    values = {one.name: one.value for one in given}
    _refuse_collisions(values, hub.secrets(repo_id), "secret")
    live = hub.variables(repo_id)
    steps = [
        Step(
            SettingChange(
                "variable", "change" if name in live else "add", name, live.get(name), value
            ),
            partial(hub.set_variable, repo_id, name, value),
        )
        for name, value in values.items()
        if live.get(name) != value
    ]
    wanted = writer.config.variables
    return writer.carry_out(
        Proposed(
            space,
            steps=tuple(steps),
            edits=tuple(
                Edit("variables", name, value)
                for name, value in values.items()
                if wanted.get(name) != value
            ),
            unchanged=tuple(name for name in values if live.get(name) == values[name]),
            doubts=doubts,
        )
    )


def unset(writer: Writer, kind: Kind, names: Iterable[str]) -> Changed:
    """Remove secrets or variables; what is not there is none to remove.

    Raises:
        ConfigError: what cannot be a name.
    """
    names = tuple(dict.fromkeys(names))
    for number, name in enumerate(names, start=1):
        require_name(name, f"argument {number}")
    space = writer.space()
    hub, repo_id = writer.hub, space.repo_id
    live: dict[str, str | None] = dict.fromkeys(hub.secrets(repo_id))
    remove = hub.unset_secret
    if kind == "variable":
        live, remove = dict(hub.variables(repo_id)), hub.unset_variable
    steps = [
        Step(SettingChange(kind, "remove", name, live[name]), partial(remove, repo_id, name))
        for name in names
        if name in live
    ]
    table = _TABLES[kind]
    return writer.carry_out(
        Proposed(
            space,
            steps=tuple(steps),
            edits=tuple(
                Edit(table, name, None) for name in names if name in getattr(writer.config, table)
            ),
            unchanged=tuple(name for name in names if name not in live),
        )
    )


def _refuse_collisions(names: Iterable[str], others: Iterable[str], kind: Kind) -> None:
    if both := sorted(set(names) & set(others)):
        raise ConfigError(
            f"{', '.join(both)}: the Space has a {kind} of that name already.",
            cause="The Hub refuses a Space that has one name as a secret and as a variable.",
            next_step=f"Remove it first: ops settings {_TABLES[kind]} unset {' '.join(both)}.",
        )


def _suspicions(given: Iterable[Given], allowed: Collection[str]) -> Iterator[str]:
    """What to ask about values that everybody will see; refuses those that are surely secret."""
    for one in given:
        suspect = next(iter(scan_variables({one.name: one.value})), None)
        if suspect is not None and suspect.path in allowed:
            continue
        if suspect is not None:
            hide(one.value, suspected=True)  # nobody has agreed to show it yet
        if one.name in NEVER_PUBLIC or (suspect is not None and suspect.certain):
            kind = suspect.kind if suspect is not None else "a key of the app"
            raise ConfigError(
                f"{one.name} ({one.where}) holds {kind}, and variables are public.",
                next_step=f"Make it a secret: ops settings secrets set {one.name}.",
            )
        if suspect is not None:
            what = f"{one.name} ({one.where}) might be a secret ({suspect.kind})"
            yield f"{what}; variables are public."


def _secret_edits(
    writer: Writer, names: Iterable[str], source: SecretSource | None
) -> Iterator[Edit]:
    for name in names:
        now = writer.config.secrets.get(name)
        once = source is None or source.prompt
        wanted = (now if once else None) or source or SecretSource(env=name)
        if wanted != now:
            yield Edit("secrets", name, wanted.model_dump(exclude_none=True))


def _sources(edits: Iterable[Edit]) -> Iterator[str]:
    """What has to be there when ops runs next, now that space.toml relies on it."""
    values = [edit.value for edit in edits if isinstance(edit.value, Mapping)]
    if names := [str(value["env"]) for value in values if "env" in value]:
        yield f"space.toml relies on the environment then: set {', '.join(names)} for ops deploy."
