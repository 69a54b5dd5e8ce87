"""What a Docker engine refuses or does not answer, translated for people."""

from __future__ import annotations

import traceback
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import requests
import urllib3
from docker.errors import APIError, DockerException

from ops.errors import EngineUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

TRANSPORT = (requests.RequestException, urllib3.exceptions.HTTPError)
START_ENGINE = "Start Docker (docker info must answer), or go without it: --runner process."


@contextmanager
def engine_errors(but: type[DockerException] | tuple[()] = ()) -> Iterator[None]:
    """Translates what the engine does not do; `but` is left to the caller."""
    try:
        yield
    except but:
        raise
    except APIError as error:
        raise EngineUnavailable(
            "The Docker engine failed.",
            cause=explanation(error),
            next_step="Read the engine's own log, or go without it: --runner process.",
        ) from error
    except (DockerException, *TRANSPORT) as error:
        raise EngineUnavailable(
            "The Docker engine does not answer any more.",
            cause=why_no_engine(error),
            next_step=START_ENGINE,
        ) from error


def close_forgotten_socket(error: BaseException) -> None:
    """Let go of the socket that docker-py made and could not connect.

    Nobody closes it (docker 7.2, transport/unixconn.py), and the error's frames keep it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        for link in _chain(error):
            traceback.clear_frames(link.__traceback__)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def why_no_engine(error: BaseException) -> str:
    """From the kind of error at the root: texts differ between versions and systems."""
    for link in _chain(error):
        if isinstance(link, PermissionError):
            return "This user may not use the engine's socket."
        if isinstance(link, FileNotFoundError):
            return "The engine's socket does not exist: Docker is not installed or not started."
        if isinstance(link, TimeoutError | requests.Timeout):
            return "It took the connection and said nothing."
    return "Docker is not installed, not started, or not where DOCKER_HOST says."


def explanation(error: APIError) -> str:
    """The engine's own words."""
    return str(error.explanation or f"the engine answered {error.status_code}")
