"""What the checks look at. Each fact is asked for once, when the first check needs it.

A fact that cannot be had is kept as the error that says why: the check whose fact it is reports
it, the others are skipped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from jinja2 import TemplateError

from ops import releases
from ops.doctor.finding import Unknown
from ops.errors import ConfigError, OpsError
from ops.plan import OF_A_NEW_SPACE, is_ours
from ops.render import render

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from ops.adapters.hf_account import Account
    from ops.adapters.hf_hub import Hub, ModelState, SpaceState
    from ops.config import Config
    from ops.render import Tree
    from ops.secret_values import SecretReader

T = TypeVar("T")

TOOLKIT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Live:
    """The Space as it is on the Hub; `ours` when this toolkit made it, or nobody has filled it."""

    space: SpaceState
    ours: bool
    empty: bool


@dataclass(frozen=True)
class Context:
    """One configuration and one token.

    `public` is the Hub as a stranger sees it; `hub` with the user's token, or why there is none.
    With `knock`, one question shows first whether the Hub answers at all, so that without a network
    nothing waits for it again.
    """

    config: Config | OpsError
    public: Hub
    hub: Hub | OpsError
    secrets: SecretReader | None = field(default=None, repr=False)
    toolkit: Path = TOOLKIT
    adopt: bool = False
    knock: bool = True

    @cached_property
    def tree(self) -> Tree | OpsError:
        """Every file that would be pushed."""
        return attempt(lambda: _rendered(known(self.config), self.toolkit / "templates"))

    @cached_property
    def time(self) -> datetime | OpsError | None:
        """The Hub's clock; an error when the Hub does not answer."""
        return attempt(self.public.time)

    @cached_property
    def account(self) -> Account | OpsError:
        """Whose token it is."""
        return attempt(self.reached().account)

    @cached_property
    def live(self) -> Live | OpsError | None:
        """The Space; None when there is none."""
        return attempt(lambda: _look(self.reached(), self.repo_id))

    @cached_property
    def model(self) -> ModelState | OpsError:
        """The model that the image would hold."""
        model = known(self.config).model
        return attempt(lambda: self.reached().model(model.id, model.revision))

    @property
    def repo_id(self) -> str:
        """The Space's full name."""
        name = known(self.config).space.repo_id
        return name if "/" in name else f"{known(self.account).name}/{name}"

    @property
    def owner(self) -> str:
        """Whose Space it is to be."""
        return self.repo_id.partition("/")[0]

    def reached(self) -> Hub:
        """The Hub with the user's token, when there is one and the Hub answers."""
        if self.knock and isinstance(self.time, OpsError):
            raise Unknown("the Hub does not answer")
        if isinstance(self.hub, OpsError):
            raise Unknown("there is no token")
        return self.hub


def known(fact: T | OpsError) -> T:
    """A fact; raises Unknown for one that could not be had."""
    if isinstance(fact, OpsError):
        raise Unknown(_reason(fact))
    return fact


def attempt(ask: Callable[[], T]) -> T | OpsError:
    """What is asked for, or the failure as a value."""
    try:
        return ask()
    except OpsError as error:
        return error


def _reason(error: OpsError) -> str:
    first = error.message.splitlines()[0].rstrip(":.")
    return first[:1].lower() + first[1:]


def _rendered(config: Config, templates: Path) -> Tree:
    try:
        return render(config, templates)
    except TemplateError as error:
        raise ConfigError(
            f"A template cannot be rendered: {error}.",
            next_step="Put the templates back as they were: git checkout templates",
        ) from error


def _look(hub: Hub, repo_id: str) -> Live | None:
    space = hub.space(repo_id)
    if space is None:
        return None
    files = hub.files(repo_id, space.commit).keys()
    empty = files <= OF_A_NEW_SPACE
    # One of ours that somebody has taken a file from still has its releases.
    ours = is_ours(files) or releases.read(hub, space.repo_id).recorded
    return Live(space, ours=ours, empty=empty)
