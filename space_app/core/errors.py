"""Everything that can go wrong and that somebody can act on; nothing of it holds an input text."""

from __future__ import annotations


class RequestError(Exception):
    """A request that is not answered with vectors.

    `code` is stable, for programs; `param` names the field that is wrong.
    """

    code = "invalid_request"

    def __init__(self, message: str, *, param: str | None = None):
        super().__init__(message)
        self.message = message
        self.param = param


class InvalidRequest(RequestError):
    """A field is missing, of the wrong type or out of range."""


class MalformedBody(RequestError):
    """The body is no JSON."""

    code = "invalid_json"


class EmptyInput(RequestError):
    """There is nothing to embed."""

    code = "empty_input"


class InputTooLong(RequestError):
    """A text has more tokens than the model reads, and is not to be cut."""

    code = "input_too_long"


class TokensNotText(RequestError):
    """The input is token numbers, of a vocabulary that is not this model's."""

    code = "tokens_not_supported"


class TooManyInputs(RequestError):
    """More texts than one request may hold."""

    code = "too_many_inputs"


class PayloadTooLarge(RequestError):
    """More bytes than one request may hold."""

    code = "payload_too_large"


class NotJson(RequestError):
    """The body is declared as something that is no JSON."""

    code = "unsupported_media_type"


class TooSlow(RequestError):
    """The body did not arrive in time."""

    code = "timeout"


class InvalidKey(RequestError):
    """No API key, or a wrong one."""

    code = "invalid_api_key"


class Overloaded(RequestError):
    """More work waits than would be done in time; `retry_after` says when to try again."""

    code = "overloaded"

    def __init__(self, message: str, *, retry_after: int):
        super().__init__(message)
        self.retry_after = retry_after


class InvalidVector(RequestError):
    """The model makes no vector of a text that could be used: not finite, or not of length 1."""

    code = "invalid_vector"


class Stopping(RequestError):
    """The server is being stopped and takes no new work."""

    code = "stopping"


class Abandoned(RequestError):
    """The client went away before its answer was there."""

    code = "abandoned"


class StartError(Exception):
    """Why the server, or the export of its model, cannot go on: one line, cause and next step."""

    def __init__(self, message: str, *, cause: str | None = None, next_step: str | None = None):
        super().__init__(message)
        self.message = message
        self.cause = cause
        self.next_step = next_step

    def __str__(self) -> str:
        return " ".join(filter(None, (self.message, self.cause, self.next_step)))


class SettingsError(StartError):
    """A variable of the environment is wrong."""


class ArtefactError(StartError):
    """The model's folder is missing, incomplete or not what its manifest says."""


class ExportError(StartError):
    """The model cannot be made into an artefact."""
