"""What a check finds: a value to show, to count, or to raise."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from ops.errors import ConfigError, Conflict, Exit, NotAllowed, OpsError

Outcome = Literal["ok", "warning", "failure", "skipped"]

_ERRORS: dict[Exit, type[OpsError]] = {
    Exit.USAGE: ConfigError,
    Exit.NOT_ALLOWED: NotAllowed,
    Exit.CONFLICT: Conflict,
}


@dataclass(frozen=True)
class Finding:
    """One line. `fix` is what to do about it; `exit_code` is a failure's."""

    name: str
    outcome: Outcome
    detail: str
    fix: str | None = None
    exit_code: Exit = Exit.DONE
    _error: OpsError | None = field(default=None, repr=False, compare=False)

    @property
    def failed(self) -> bool:
        """Whether a deployment would not go through."""
        return self.outcome == "failure"

    def error(self) -> OpsError:
        """A failure as what a verb raises."""
        if self._error is not None:
            return self._error
        return _ERRORS.get(self.exit_code, OpsError)(self.detail, next_step=self.fix)

    def data(self) -> dict[str, Any]:
        """The line as JSON has it."""
        return {
            "name": self.name,
            "outcome": self.outcome,
            "detail": self.detail,
            "fix": self.fix,
            "exit_code": int(self.exit_code),
        }


def ok(name: str, detail: str) -> Finding:
    """Nothing to do."""
    return Finding(name, "ok", detail)


def warning(name: str, detail: str, fix: str) -> Finding:
    """It may go through, and may not be what was meant."""
    return Finding(name, "warning", detail, fix)


def failure(name: str, detail: str, fix: str, exit_code: Exit) -> Finding:
    """A deployment would end here."""
    return Finding(name, "failure", detail, fix, exit_code)


def from_error(name: str, error: OpsError) -> Finding:
    """A failure that something else reported."""
    detail = error.message if error.cause is None else f"{error.message} {error.cause}"
    return Finding(name, "failure", detail, error.next_step, error.exit_code, error)


class Unknown(Exception):
    """Why a check has nothing to look at: something before it failed."""
