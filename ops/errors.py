"""Every failure `ops` can report: what happened, the likely cause, the next step, the exit code."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of `ops`; scripts may rely on them."""

    DONE = 0
    UNEXPECTED = 1
    USAGE = 2
    CHANGES = 3
    BUILD = 4
    SPACE_CONFIG = 5
    UNHEALTHY = 6
    TIMED_OUT = 7
    NOT_RUNNING = 8
    NOT_ALLOWED = 9
    CONFLICT = 10


class OpsError(Exception):
    """A failure that a person can act on.

    `message` says what happened, `cause` why it probably did, `next_step` what to run or change,
    `log_tail` the last lines of whatever failed, `aftermath` what was done about it meanwhile.
    None of them holds a secret; `ops.redaction` hides those that somebody else's text brings in.
    """

    exit_code: Exit = Exit.UNEXPECTED

    def __init__(
        self,
        message: str,
        *,
        cause: str | None = None,
        next_step: str | None = None,
        log_tail: tuple[str, ...] = (),
    ):
        super().__init__(message)
        self.message = message
        self.cause = cause
        self.next_step = next_step
        self.log_tail = log_tail
        self.aftermath: str | None = None


class ConfigError(OpsError):
    """space.toml, or something on the command line, is wrong."""

    exit_code = Exit.USAGE


class PortTaken(OpsError):
    """Something else listens on the port that was asked for."""

    exit_code = Exit.USAGE


class FolderInUse(OpsError):
    """Another process works in the folder that was asked for."""

    exit_code = Exit.USAGE


class EngineUnavailable(OpsError):
    """No Docker engine answers."""

    exit_code = Exit.BUILD


class BaseImageUnavailable(OpsError):
    """The engine answers but cannot get the image that the Space is built on."""

    exit_code = Exit.BUILD


class BuildFailed(OpsError):
    """The Space's files were refused by the builder."""

    exit_code = Exit.BUILD


class SpaceConfigError(OpsError):
    """The Hub refuses the Space's configuration (stage CONFIG_ERROR or NO_APP_FILE)."""

    exit_code = Exit.SPACE_CONFIG


class Unhealthy(OpsError):
    """The server died, never became healthy, or failed a check."""

    exit_code = Exit.UNHEALTHY


class TimedOut(OpsError):
    """Something did not happen within its time limit."""

    exit_code = Exit.TIMED_OUT


class NotRunning(OpsError):
    """The Space is paused, sleeping or stopped."""

    exit_code = Exit.NOT_RUNNING


class NotAllowed(OpsError):
    """The token, the plan or a quota does not allow it."""

    exit_code = Exit.NOT_ALLOWED


class HubUnreachable(OpsError):
    """Nobody answers at the Hub's address."""


class NotAHub(HubUnreachable):
    """Something answers at the Hub's address, but not as a Hub does."""

    exit_code = Exit.UNHEALTHY


class Conflict(OpsError):
    """Somebody else changed the Space meanwhile, or owns its name."""

    exit_code = Exit.CONFLICT
