"""Gets a model's files from the Hub: the only importer of huggingface_hub."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import httpx2
from huggingface_hub import HfApi, constants, set_client_factory, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from space_app.core.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Iterable

_TEXT = frozenset({".json", ".txt", ".model", ".jinja"})
"""Configurations, vocabularies, sentencepiece models, templates."""

_TIMEOUT = 60
"""Seconds without a byte; the library's own client waits for ever."""

_STRANGE = (
    httpx2.DecodingError, httpx2.TooManyRedirects,
    AttributeError, LookupError, RecursionError, TypeError, ValueError,
)  # fmt: skip
"""What the library raises when an answer is no Hub's."""

_OTHER_RUNTIMES = frozenset({"onnx", "openvino", "coreml"})


@dataclass(frozen=True)
class Snapshot:
    """A model's files at one commit."""

    folder: Path
    revision: str


def download(
    model: str, revision: str, *, endpoint: str | None = None, cache: Path | None = None
) -> Snapshot:
    """Download what sentence-transformers needs of a model.

    The Hub's address, token and cache are what that library's HF_ENDPOINT, HF_TOKEN and HF_HOME
    say, unless given.

    Raises:
        ExportError: no such model or revision, no access, no weights, no Hub, no room.
    """
    # Else the library asks the Hub for a list of programs that might run it, and keeps the answer.
    constants.HF_HUB_DISABLE_TELEMETRY = True
    set_client_factory(lambda: httpx2.Client(follow_redirects=True, timeout=_TIMEOUT))
    api = HfApi(endpoint=endpoint)
    try:
        info = api.model_info(model, revision=revision)
        names = wanted(sibling.rfilename for sibling in info.siblings or ())
        _require_weights(model, names)
        commit = info.sha or revision
        folder = snapshot_download(
            model, revision=commit, allow_patterns=names, endpoint=api.endpoint, cache_dir=cache
        )
    except (HFValidationError, LocalEntryNotFoundError) as error:
        raise _translated(error, model, revision, api.endpoint) from error
    except _STRANGE as error:
        raise ExportError(
            f"{api.endpoint} did not answer like a Hugging Face Hub.",
            cause="HF_ENDPOINT names something else, or a proxy or a login page answers.",
            next_step="Look at that address in a browser, then try again.",
        ) from error
    except (HfHubHTTPError, httpx2.HTTPError, OSError) as error:
        raise _translated(error, model, revision, api.endpoint) from error
    return Snapshot(Path(folder), commit)


def wanted(names: Iterable[str]) -> list[str]:
    """Of a repository's files, those to download: one format of the weights, no other runtime's.

    A module's safetensors are taken, and PyTorch's pickle only where a module has nothing else.
    """
    paths = [PurePosixPath(name) for name in names]
    paths = [path for path in paths if path.parts[0] not in _OTHER_RUNTIMES]
    safe = {path.parent for path in paths if path.suffix == ".safetensors"}
    return [
        str(path)
        for path in paths
        if path.suffix in _TEXT
        or path.suffix == ".safetensors"
        or (path.match("pytorch_model*.bin") and path.parent not in safe)
    ]


def _require_weights(model: str, names: list[str]) -> None:
    if not any(name.endswith((".safetensors", ".bin")) for name in names):
        raise ExportError(
            f"{model} has no weights that PyTorch can read.",
            cause="There is neither model.safetensors nor pytorch_model.bin in it.",
            next_step="Use the repository that its conversions were made from.",
        )


def _translated(error: Exception, model: str, revision: str, endpoint: str) -> ExportError:  # noqa: PLR0911 -- one for each kind
    """What a failed download means, by the kind of error."""
    match error:
        case HFValidationError():
            return ExportError(
                f"{model!r} is no model id.",
                cause="It is neither a file, nor a folder, nor owner/name as the Hub has them.",
                next_step="Check the spelling of id.",
            )
        case GatedRepoError():
            return ExportError(
                f"{model} wants its terms accepted first.",
                next_step=f"Accept them at {endpoint}/{model}, and set HF_TOKEN.",
            )
        case RepositoryNotFoundError():
            return ExportError(
                f"{endpoint} has no model {model}.",
                cause="It is misspelt, or private and HF_TOKEN does not open it.",
                next_step="Check the spelling of id.",
            )
        case RevisionNotFoundError():
            return ExportError(
                f"{model} has no revision {revision}.",
                next_step=f"Choose a commit of {endpoint}/{model}/commits/main.",
            )
        case HfHubHTTPError():
            return ExportError(
                f"{endpoint} refuses to hand out {model}: status {error.response.status_code}.",
                next_step="Try again in a few minutes.",
            )
        case httpx2.HTTPError() | LocalEntryNotFoundError() | OfflineModeIsEnabled():
            return ExportError(
                f"{endpoint} does not answer.",
                cause=f"{type(error).__name__}: no network here, or HF_ENDPOINT is wrong.",
                next_step="Check that address from this machine, then try again.",
            )
        case OSError(errno=errno.ENOSPC):
            return ExportError(
                f"There is no room on the disk for {model}.",
                next_step="Free some, or point HF_HOME at another disk.",
            )
    return ExportError(
        f"{model} could not be downloaded.", cause=f"{type(error).__name__}: {error}"
    )
