"""`ops settings show` and the lists: what the Hub has, and whether space.toml says the same."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from ops.errors import ConfigError
from ops.find_space import find_space
from ops.plan import HOURS_A_MONTH, printable
from ops.settings.space import price
from ops.written import Written, default_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ops.adapters.hf_hub import Hub, Runtime
    from ops.config import Config, SecretSource
    from ops.secret_values import SecretReader

Field = Literal["visibility", "hardware", "sleep time", "variable", "secret"]
Verdict = Literal["agrees", "differs", "not in space.toml", "not on the Hub", "not known"]

_SAID: dict[Verdict, str] = {
    "agrees": "as in space.toml",
    "differs": "not as in space.toml",
    "not in space.toml": "not in space.toml",
    "not on the Hub": "in space.toml only",
    "not known": "in space.toml, but its value is not known here",
}
_WIDEST = 40


@dataclass(frozen=True)
class Setting:
    """One setting. A secret has no `value`, only when it was set.

    `wanted` is what space.toml says, for a secret where its value comes from. The verdict on a
    secret is "not known" where its value is not to be had here, or was set elsewhere.
    """

    field: Field
    name: str
    value: str | None
    set_at: str | None
    wanted: str | None
    verdict: Verdict

    @property
    def is_live(self) -> bool:
        """Whether the Hub has it."""
        return self.verdict != "not on the Hub"

    def line(self) -> str:
        """A line of a list: `NAME=value`, or a secret's name and when it was set."""
        if self.field == "variable":
            return f"{self.name}={printable(self.value or '')}"
        return f"{self.name} {self._state()}, {_SAID[self.verdict]}"

    def row(self) -> tuple[str, str, str]:
        """What it is, what is on the Hub, and what space.toml says of it."""
        said = _SAID[self.verdict]
        if self.field != "secret" and self.verdict == "differs":
            said = f"{said}: {self._readable(self.wanted)}"
        return f"{self.field} {self.name}".rstrip(), self._state(), said

    def _state(self) -> str:
        if not self.is_live:
            return "not set"
        if self.field != "secret":
            return self._readable(self.value)
        if self.set_at is None:
            return "set"
        return f"set {datetime.fromisoformat(self.set_at).astimezone(UTC):%Y-%m-%d %H:%M} UTC"

    def _readable(self, value: str | None) -> str:
        if self.field == "sleep time":
            return "never" if value in (None, "-1") else f"{value} s"
        return "none" if value is None else printable(value)


@dataclass(frozen=True)
class Shown:
    """A Space's settings; costs are dollars while it runs, None where the Hub tells no price."""

    repo_id: str
    stage: str
    cost_per_hour: float | None
    cost_per_month: float | None
    settings: tuple[Setting, ...]

    def lines(self) -> Iterator[str]:
        """For people, in columns."""
        yield f"{self.repo_id} is {self.stage}; its hardware costs: {price(self.cost_per_hour)}"
        rows = [setting.row() for setting in self.settings]
        first, second = (max(len(row[n]) for row in rows) for n in (0, 1))
        for name, state, said in rows:
            yield f"{name:<{first}}  {state:<{min(second, _WIDEST)}}  {said}"


def show(
    hub: Hub,
    config: Config,
    reader: SecretReader,
    state_file: Path | None = None,
) -> Shown:
    """Look at everything; asks nobody for a secret's value.

    Raises:
        ConfigError: there is no such Space.
    """
    space = find_space(hub, config.space.repo_id)
    runtime = hub.runtime(space.repo_id)
    written = Written(f"{hub.endpoint} {space.repo_id}", state_file or default_path())
    hourly = hub.flavours().get(runtime.hardware) if runtime.hardware else None
    visibility = written.visibility_of(private=space.private)
    return Shown(
        repo_id=space.repo_id,
        stage=runtime.stage,
        cost_per_hour=hourly,
        cost_per_month=None if hourly is None else hourly * HOURS_A_MONTH,
        settings=(
            *_of_space(config, runtime, visibility),
            *_variables(hub.variables(space.repo_id), config),
            *_secrets(hub.secret_times(space.repo_id), config, reader, written),
        ),
    )


def _of_space(config: Config, runtime: Runtime, visibility: str) -> Iterator[Setting]:
    space = config.space
    seen: Verdict = "agrees" if visibility == space.visibility else "differs"
    yield Setting("visibility", "", visibility, None, space.visibility, seen)
    moved: Verdict = "agrees" if runtime.hardware == space.hardware else "differs"
    yield Setting("hardware", "", runtime.hardware, None, space.hardware, moved)
    # Where space.toml says nothing, whatever the Hub has is right.
    sleeps: Verdict = "agrees" if space.sleep_time in (None, runtime.sleep_time) else "differs"
    yield Setting(
        "sleep time", "", _text(runtime.sleep_time), None, _text(space.sleep_time), sleeps
    )


def _variables(live: Mapping[str, str], config: Config) -> Iterator[Setting]:
    for name in sorted(live.keys() | config.variables.keys()):
        value, wanted = live.get(name), config.variables.get(name)
        verdict = _presence(name, live, config.variables) or (
            "agrees" if value == wanted else "differs"
        )
        yield Setting("variable", name, value, None, wanted, verdict)


def _secrets(
    live: Mapping[str, str | None], config: Config, reader: SecretReader, written: Written
) -> Iterator[Setting]:
    for name in sorted(live.keys() | config.secrets.keys()):
        source = config.secrets.get(name)
        verdict = _presence(name, live, config.secrets)
        if source is not None and verdict is None:
            try:
                told = written.compare(reader.read({name: source}), live)[name]
            except ConfigError:
                told = "unknown"
            verdict = _OF_SECRETS[told]
        yield Setting("secret", name, None, live.get(name), _place(source), verdict or "not known")


def _place(source: SecretSource | None) -> str | None:
    """Where a secret's value comes from."""
    if source is None:
        return None
    if source.env is not None:
        return f"env {source.env}"
    return f"file {source.file}" if source.file is not None else "prompt"


_OF_SECRETS: dict[str, Verdict] = {"same": "agrees", "changed": "differs", "unknown": "not known"}


def _presence(
    name: str, live: Mapping[str, object], wanted: Mapping[str, object]
) -> Verdict | None:
    """Where it is missing; None where it is in both."""
    if name not in live:
        return "not on the Hub"
    return "not in space.toml" if name not in wanted else None


def _text(value: int | None) -> str | None:
    return None if value is None else str(value)
