"""What the Hub refuses or does not answer, translated for people."""

from __future__ import annotations

import functools
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx2
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from ops.adapters.retries import NoAnswer
from ops.errors import Conflict, HubUnreachable, NotAHub, NotAllowed, OpsError
from ops.http_client import AnswerRefused, OutOfTime, Redirected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOKENS_PAGE = "https://huggingface.co/settings/tokens"

_MISREAD = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError,
            httpx2.InvalidURL)  # fmt: skip
"""What the client library raises when an answer is something else than it reads."""

_MOST_SAID = 500
"""Characters of what the Hub says of a refusal."""


class NoRepositoryError(OpsError):
    """No such repository, or none that this token may see."""


class NoFileError(OpsError):
    """The revision has no such file."""


class NoRevisionError(OpsError):
    """The repository has no such branch, tag or commit."""


@contextmanager
def hub_errors(doing: str, endpoint: str) -> Iterator[None]:
    """Translates what the client library raises while it is `doing` something."""
    try:
        yield
    except RevisionNotFoundError as error:
        raise NoRevisionError(
            f"Could not {doing}: there is no such revision.",
            next_step="Somebody has removed it: ops releases lists what there is.",
        ) from error
    except RemoteEntryNotFoundError as error:
        raise NoFileError(
            f"Could not {doing}: there is no such file.",
            next_step="Somebody has removed it: ops plan shows what there is to do.",
        ) from error
    except RepositoryNotFoundError as error:
        raise NoRepositoryError(
            f"Could not {doing}: the Hub knows no such repository for this token.",
            next_step=f"Check repo_id in space.toml, and the token on {TOKENS_PAGE}.",
        ) from error
    except HfHubHTTPError as error:
        raise _refusal(doing, error) from error
    except Redirected as error:
        raise NotAHub(
            f"Could not {doing}: {endpoint} redirected it to another address, {error}.",
            cause="HF_ENDPOINT isn't the Hub's own address, or a login page answers. "
            "Nothing was sent to the other address.",
            next_step="Set HF_ENDPOINT to the Hub's own address, then run it again.",
        ) from error
    except tuple(_STRANGE) as error:
        raise not_a_hub(doing, endpoint, _STRANGE[type(error)] or str(error)) from error
    except (httpx2.TransportError, NoAnswer) as error:
        raise unreachable(doing, endpoint, error) from error


_STRANGE: dict[type[Exception], str] = {
    AnswerRefused: "",
    OutOfTime: "its answer took too long",
    httpx2.DecodingError: "its answer can't be unpacked",
    httpx2.SSEError: "what it sent isn't a log",
    httpx2.TooManyRedirects: "it redirects in a circle",
}
"""What a Hub does not do, in words; "" where the error says it itself."""


@contextmanager
def reading_errors(doing: str, endpoint: str) -> Iterator[None]:
    """Translates what the client library raises when it cannot read an answer.

    Only for code that reads answers and does nothing else, as any mistake would look like that.
    """
    try:
        yield
    except (HfHubHTTPError, HFValidationError):
        raise
    except _MISREAD as error:
        raise not_a_hub(doing, endpoint, "it answered something else") from error
    except RuntimeError as error:
        # An upload's; what it comes from says more.
        if isinstance(error.__cause__, HfHubHTTPError | httpx2.RequestError):
            raise error.__cause__ from error
        raise NoAnswer("The upload failed") from error
    except ConnectionError as error:
        raise NoAnswer("The upload failed") from error


def not_a_hub(doing: str, endpoint: str, why: str) -> NotAHub:
    """Something answered, but no Hub."""
    return NotAHub(
        f"Could not {doing}: {endpoint} did not answer like a Hugging Face Hub ({why}).",
        cause="HF_ENDPOINT names something else, or a proxy or a login page answers.",
        next_step=f"Look at what {endpoint} shows in a browser, then try again.",
    )


def unreachable(doing: str, endpoint: str, error: Exception) -> HubUnreachable:
    """Nobody answered, or not to the end."""
    return HubUnreachable(
        f"Could not {doing}: {endpoint} did not answer ({error}).",
        cause="No network, or the Hub is down.",
        next_step="Try again; nothing is lost, a deploy continues where it was.",
    )


def _refusal(doing: str, error: HfHubHTTPError) -> OpsError:
    status = error.response.status_code
    said = (error.server_message or "")[:_MOST_SAID]
    message = f"Could not {doing}: the Hub answered {status}" + (f" ({said})." if said else ".")
    if kind := _BY_STATUS.get(status):
        return kind(message)
    return OpsError(message, next_step="Try again, or look at the Hub's status page.")


_BY_STATUS: dict[int, Callable[[str], OpsError]] = {
    401: functools.partial(
        NotAllowed,
        cause="The token is missing, wrong or revoked.",
        next_step=f"Make a token with the role write on {TOKENS_PAGE}; set HF_TOKEN.",
    ),
    402: functools.partial(
        NotAllowed,
        cause="On cpu-basic, a Docker Space needs a PRO, Team or Enterprise plan.",
        next_step="Subscribe, set a prepaid hardware in space.toml, or try `ops rehearse`.",
    ),
    403: functools.partial(
        NotAllowed,
        cause="The token may not write there, or a quota is used up.",
        next_step=f"Use a token with the role write on that account: {TOKENS_PAGE}.",
    ),
    409: functools.partial(
        Conflict,
        cause="Somebody else changed the Space meanwhile.",
        next_step="Run the command again; it starts from what is there now.",
    ),
    412: functools.partial(
        Conflict,
        cause="Somebody else committed to the Space meanwhile; nothing was written.",
        next_step="Look at their change with `ops status`, then deploy again.",
    ),
}
"""What the Hub's statuses mean for a user; anything else is unexpected."""
