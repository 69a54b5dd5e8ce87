"""Brings a change of settings to a Space: shown, agreed to, written, saved, waited for."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ops.answering import wait_for_change, wait_until_answering
from ops.config_file import read
from ops.errors import OpsError
from ops.find_space import find_space
from ops.plan import SettingChange, described
from ops.stages import IDLE
from ops.watch import Patience
from ops.written import Written, default_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from ops.adapters.hf_hub import Hub, SpaceState
    from ops.config import Config
    from ops.config_edit import Edit, SpaceFile
    from ops.runner import Log
    from ops.watch import Show

_NOT_STARTED = IDLE | {"NO_APP_FILE"}
"""Stages that a new setting does not end."""


@dataclass(frozen=True)
class Step:
    """One change, and the request that makes it."""

    change: SettingChange
    write: Callable[[], object] = field(repr=False)


@dataclass(frozen=True)
class Proposed:
    """What is to be done, before anything is.

    `edits` are what space.toml shall say, `unchanged` what is so already; `doubts` is for people to
    agree to, `notes` for them to know. `remember` keeps what the Hub does not tell back.
    """

    space: SpaceState
    steps: tuple[Step, ...]
    edits: tuple[Edit, ...]
    unchanged: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    restarts: bool = True
    remember: Callable[[], None] = field(default=lambda: None, repr=False)


@dataclass(frozen=True)
class Changed:
    """What became of it. `saved` is the file that was written, or would be in a dry run.

    `seconds` is how long it took to answer again, None when it was not waited for.
    """

    repo_id: str
    url: str
    changes: tuple[SettingChange, ...]
    unchanged: tuple[str, ...]
    saved: str | None
    seconds: float | None


@dataclass(frozen=True)
class Writer:
    """One Space, its space.toml, and how changes are brought to them.

    `agree` asks, once it was said what about, and raises where nobody agrees. `show` opens what is
    seen of a wait.
    """

    hub: Hub
    config: Config
    file: SpaceFile
    say: Log
    agree: Callable[[], None]
    show: Show | None = None
    save: bool = False
    wait: bool = True
    dry_run: bool = False
    patience: Patience = field(default_factory=Patience)
    state_file: Path = field(default_factory=default_path)

    def space(self) -> SpaceState:
        """The Space; raises ConfigError where there is none."""
        return find_space(self.hub, self.config.space.repo_id)

    def written(self, space: SpaceState) -> Written:
        """What this machine wrote to it before."""
        return Written(f"{self.hub.endpoint} {space.repo_id}", self.state_file, self.say)

    def carry_out(self, proposed: Proposed) -> Changed:
        """Do it: on the Hub, then in space.toml, which is tried first.

        Raises:
            ConfigError: space.toml cannot say so; nothing was written.
            SpaceConfigError, BuildFailed, Unhealthy, TimedOut: the Space does not come up again.
        """
        text = self._text_to_save(proposed.edits)
        for line in self._lines(proposed, text):
            self.say(line)
        seconds = None
        if not self.dry_run and (proposed.steps or text is not None):
            if proposed.doubts:
                self.agree()
            seconds = self._write_and_wait(proposed, text)
        return Changed(
            repo_id=proposed.space.repo_id,
            url=proposed.space.url,
            changes=tuple(step.change for step in proposed.steps),
            unchanged=proposed.unchanged,
            saved=str(self.file.path) if text is not None else None,
            seconds=seconds,
        )

    def _text_to_save(self, edits: Sequence[Edit]) -> str | None:
        """What space.toml shall be; None where it stays as it is."""
        if not self.save:
            return None
        text = self.file.edited(edits)
        return text if text != read(self.file.path) else None

    def _lines(self, proposed: Proposed, text: str | None) -> Iterator[str]:
        if not (proposed.steps or text is not None):
            yield f"Nothing to do: {proposed.space.repo_id} is so already."
            return
        for name in proposed.unchanged:
            yield f"{name}: nothing to do"
        for step in proposed.steps:
            yield described(step.change)
        yield from (*proposed.doubts, *proposed.notes)
        if text is not None:
            before = read(self.file.path)
            for line in difflib.unified_diff(before.splitlines(), text.splitlines(), n=0):
                if not line.startswith(("---", "+++", "@@")):
                    yield f"{self.file.path}: {line}"

    def _write_and_wait(self, proposed: Proposed, text: str | None) -> float | None:
        repo_id = proposed.space.repo_id
        stage = self.hub.runtime(repo_id).stage
        if text is not None:
            self.file.require_writable()
        self._write(proposed, text)
        if not (self.wait and proposed.steps and proposed.restarts):
            return None
        if stage in _NOT_STARTED:
            self.say(f"{repo_id} is {stage}: it takes this up when it is started.")
            return None
        try:
            wait_for_change(self.hub, repo_id, self.patience)
            return wait_until_answering(
                self.hub,
                proposed.space,
                say=self.say,
                patience=self.patience,
                show=self.show,
            )
        except OpsError as error:
            error.aftermath = "What was to be set is set."
            raise

    def _write(self, proposed: Proposed, text: str | None) -> None:
        """Change the Hub, then the file; whatever stops that, say what is done."""
        done: list[str] = []
        try:
            for step in proposed.steps:
                step.write()
                done.append(f"{step.change.field} {step.change.name}".rstrip())
            if proposed.steps:
                proposed.remember()
            if text is not None:
                self._save(proposed, done)
        except OpsError as error:
            error.aftermath = error.aftermath or self._left(done, text)
            raise
        except KeyboardInterrupt:
            self.say(self._left(done, text))
            raise

    def _save(self, proposed: Proposed, done: list[str]) -> None:
        try:
            self.file.save(proposed.edits)
        except OpsError as error:
            by_hand = "; ".join(edit.by_hand(self.file.environment) for edit in proposed.edits)
            on_hub = f"The Hub has the new {', '.join(done)}; " if done else ""
            error.aftermath = f"{on_hub}{self.file.path} doesn't say so yet."
            error.next_step = f"Correct {self.file.path}, then {by_hand}."
            raise

    def _left(self, done: list[str], text: str | None) -> str:
        """Where it stopped."""
        unsaved = f"{self.file.path} is as it was. " if text is not None else ""
        return (
            f"On the Hub already: {', '.join(done) or 'nothing'}. {unsaved}Run it again to go on."
        )
