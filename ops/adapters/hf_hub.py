"""The Hub, through the real client: the only importer of huggingface_hub.

Works the same against huggingface.co and the local Hub; endpoint and token are arguments. Every
failure of the client is translated here, once, into `ops.errors`.
"""

from __future__ import annotations

import functools
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import httpx2
import huggingface_hub
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import (
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from ops.errors import ConfigError, Conflict, NotAllowed, OpsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ops.config import Visibility

_TIMEOUT = httpx2.Timeout(60, connect=20)
_TOKENS_PAGE = "https://huggingface.co/settings/tokens"


@dataclass(frozen=True)
class Account:
    """Who a token belongs to. `role` is read, write, god or fineGrained."""

    name: str
    role: str
    organisations: tuple[str, ...]


@dataclass(frozen=True)
class SpaceState:
    """A Space as the Hub describes it; `url` is the app's own origin."""

    repo_id: str
    commit: str
    private: bool
    url: str


@dataclass(frozen=True)
class Runtime:
    """What a Space is doing; `commit` is the one that runs, not the newest pushed.

    `hardware` is what was asked for last, which it may not have moved to yet.
    """

    stage: str
    commit: str | None
    hardware: str | None
    sleep_time: int | None
    error_message: str | None


def stored_token() -> str | None:
    """The token of `HF_TOKEN` or of an earlier `hf auth login`."""
    return huggingface_hub.get_token()


def default_endpoint() -> str:
    """`HF_ENDPOINT`, or huggingface.co."""
    return huggingface_hub.constants.ENDPOINT


def _client() -> httpx2.Client:
    """What the client library shall use: its own choice waits forever (`timeout=None`)."""
    return httpx2.Client(follow_redirects=True, timeout=_TIMEOUT)


class Hub:
    """One endpoint seen with one token; without a token, as a stranger sees it."""

    def __init__(self, endpoint: str, token: str | None):
        huggingface_hub.set_client_factory(_client)
        self.endpoint = endpoint.rstrip("/")
        self.token = token
        self._api = HfApi(
            endpoint=self.endpoint, token=token or False, library_name="embedding-space"
        )

    def __repr__(self) -> str:
        return f"Hub({self.endpoint!r})"

    def account(self) -> Account:
        """Whose token this is; raises NotAllowed for one that the Hub does not know."""
        with self._translated("ask who the token belongs to"):
            who = self._api.whoami()
        return Account(
            name=who["name"],
            role=who.get("auth", {}).get("accessToken", {}).get("role", "unknown"),
            organisations=tuple(org["name"] for org in who.get("orgs", ())),
        )

    def space(self, repo_id: str) -> SpaceState | None:
        """The Space, or None when there is none that this token may see."""
        try:
            with self._translated(f"look at {repo_id}"):
                info = self._api.space_info(repo_id)
        except _NoRepositoryError:
            return None
        return SpaceState(
            repo_id=info.id,
            commit=info.sha or "",
            private=bool(info.private),
            url=_origin(info.host, info.subdomain),
        )

    def create_space(
        self,
        repo_id: str,
        *,
        visibility: Visibility,
        hardware: str,
        sleep_time: int | None,
        secrets: Mapping[str, str],
        variables: Mapping[str, str],
    ) -> None:
        """Create an empty Docker Space, its settings included, so that it starts only once."""
        with self._translated(f"create {repo_id}"):
            self._api.create_repo(
                repo_id,
                repo_type="space",
                space_sdk="docker",
                visibility=visibility,
                # The client takes its own enum and plain names alike, and knows fewer than the Hub.
                space_hardware=hardware,  # type: ignore[arg-type]
                space_sleep_time=sleep_time,
                space_secrets=[{"key": k, "value": v} for k, v in secrets.items()] or None,
                space_variables=[{"key": k, "value": v} for k, v in variables.items()] or None,
            )

    def model_commit(self, model_id: str, revision: str) -> str:
        """The commit that a model's revision names now.

        Raises:
            ConfigError: there is no such model or revision, or this token may not see it.
        """
        try:
            with self._translated(f"look at the model {model_id}"):
                info = self._api.model_info(model_id, revision=revision)
        except (_NoRepositoryError, _NoRevisionError) as error:
            raise ConfigError(
                f"{self.endpoint} has no model {model_id} at revision {revision}.",
                cause="The id or the revision is misspelt, or the model is private.",
                next_step="Correct model.id or model.revision in space.toml.",
            ) from error
        return str(info.sha)

    def files(self, repo_id: str, revision: str) -> dict[str, str]:
        """Path -> git blob id of every file at a revision."""
        with self._translated(f"list the files of {repo_id}"):
            entries = self._api.list_repo_tree(
                repo_id, repo_type="space", revision=revision, recursive=True
            )
            return {
                entry.path: entry.blob_id
                for entry in entries
                if isinstance(entry, huggingface_hub.hf_api.RepoFile)
            }

    def read_file(self, repo_id: str, path: str, revision: str) -> bytes:
        """The content of one file at a revision."""
        with self._translated(f"read {path} of {repo_id}"), TemporaryDirectory() as folder:
            downloaded = self._api.hf_hub_download(
                repo_id, path, repo_type="space", revision=revision, local_dir=folder
            )
            return Path(downloaded).read_bytes()

    def commit(
        self,
        repo_id: str,
        *,
        add: Mapping[str, bytes],
        delete: Sequence[str],
        title: str,
        description: str,
        parent: str,
    ) -> str:
        """One atomic commit on top of `parent`; returns its id.

        Raises:
            Conflict: somebody else committed meanwhile; nothing was written.
        """
        operations: list[CommitOperationAdd | CommitOperationDelete] = [
            CommitOperationAdd(path_in_repo=path, path_or_fileobj=content)
            for path, content in add.items()
        ]
        operations += [CommitOperationDelete(path_in_repo=path) for path in delete]
        with self._translated(f"commit to {repo_id}"):
            info = self._api.create_commit(
                repo_id,
                operations,
                commit_message=title,
                commit_description=description,
                repo_type="space",
                parent_commit=parent,
            )
        return info.oid

    def runtime(self, repo_id: str) -> Runtime:
        """What the Space is doing now."""
        with self._translated(f"ask for the stage of {repo_id}"):
            runtime = self._api.get_space_runtime(repo_id)
        return Runtime(
            stage=str(runtime.stage),
            commit=runtime.raw.get("sha"),
            hardware=runtime.requested_hardware or runtime.hardware,
            sleep_time=runtime.sleep_time,
            error_message=runtime.raw.get("errorMessage"),
        )

    def restart(self, repo_id: str) -> None:
        """Start the Space again; also wakes a paused one."""
        with self._translated(f"restart {repo_id}"):
            self._api.restart_space(repo_id)

    def logs(self, repo_id: str, *, build: bool, follow: bool = False) -> Iterator[str]:
        """Lines of the build's or the app's log, without their newlines."""
        with self._translated(f"read the logs of {repo_id}"):
            for text in self._api.fetch_space_logs(repo_id, build=build, follow=follow):
                yield from text.rstrip("\n").split("\n")

    def variables(self, repo_id: str) -> dict[str, str]:
        """Name -> value of the Space's variables."""
        with self._translated(f"read the variables of {repo_id}"):
            found = self._api.get_space_variables(repo_id)
        return {name: variable.value for name, variable in found.items()}

    def set_variable(self, repo_id: str, name: str, value: str) -> None:
        """Set a variable; the app restarts."""
        with self._translated(f"set the variable {name} of {repo_id}"):
            self._api.add_space_variable(repo_id, name, value)

    def unset_variable(self, repo_id: str, name: str) -> None:
        """Remove a variable; the app restarts."""
        with self._translated(f"remove the variable {name} of {repo_id}"):
            self._api.delete_space_variable(repo_id, name)

    def secrets(self, repo_id: str) -> frozenset[str]:
        """Names of the Space's secrets; the Hub never tells their values."""
        with self._translated(f"list the secrets of {repo_id}"):
            return frozenset(self._api.get_space_secrets(repo_id))

    def set_secret(self, repo_id: str, name: str, value: str) -> None:
        """Set a secret; the app restarts."""
        with self._translated(f"set the secret {name} of {repo_id}"):
            self._api.add_space_secret(repo_id, name, value)

    def unset_secret(self, repo_id: str, name: str) -> None:
        """Remove a secret; the app restarts."""
        with self._translated(f"remove the secret {name} of {repo_id}"):
            self._api.delete_space_secret(repo_id, name)

    def set_visibility(self, repo_id: str, visibility: Visibility) -> None:
        """Make the Space private, protected or public."""
        with self._translated(f"make {repo_id} {visibility}"):
            self._api.update_repo_settings(
                repo_id,
                repo_type="space",
                visibility=visibility,
            )

    def set_hardware(self, repo_id: str, hardware: str, sleep_time: int | None) -> None:
        """Move the Space to other hardware; the app restarts."""
        with self._translated(f"move {repo_id} to {hardware}"):
            self._api.request_space_hardware(
                repo_id,
                # As above: a name that the client's enum lacks is taken too.
                hardware,  # type: ignore[arg-type]
                sleep_time=sleep_time,
            )

    def set_sleep_time(self, repo_id: str, seconds: int) -> None:
        """Set after how many seconds without a request the Space sleeps; -1 is never."""
        with self._translated(f"set the sleep time of {repo_id}"):
            self._api.set_space_sleep_time(repo_id, seconds)

    def tags(self, repo_id: str) -> dict[str, str]:
        """Tag -> the commit it names."""
        with self._translated(f"list the tags of {repo_id}"):
            refs = self._api.list_repo_refs(repo_id, repo_type="space")
        return {tag.name: tag.target_commit for tag in refs.tags}

    def tag(self, repo_id: str, name: str, *, commit: str, message: str) -> None:
        """Tag a commit."""
        with self._translated(f"tag {repo_id}"):
            self._api.create_tag(
                repo_id, tag=name, tag_message=message, revision=commit, repo_type="space"
            )

    @contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        try:
            yield
        except RevisionNotFoundError as error:
            raise _NoRevisionError(f"Could not {doing}: there is no such revision.") from error
        except RepositoryNotFoundError as error:
            raise _NoRepositoryError(
                f"Could not {doing}: the Hub knows no such repository for this token.",
                next_step=f"Check repo_id in space.toml, and the token on {_TOKENS_PAGE}.",
            ) from error
        except HfHubHTTPError as error:
            raise self._http_error(doing, error) from error
        except httpx2.TransportError as error:
            raise OpsError(
                f"Could not {doing}: {self.endpoint} did not answer ({type(error).__name__}).",
                cause="No network, or the Hub is down.",
                next_step="Try again; nothing is lost, a deploy continues where it was.",
            ) from error

    def _http_error(self, doing: str, error: HfHubHTTPError) -> OpsError:
        status = error.response.status_code
        said = error.server_message or ""
        message = f"Could not {doing}: the Hub answered {status}" + (f" ({said})." if said else ".")
        if kind := _BY_STATUS.get(status):
            return kind(message)
        return OpsError(message, next_step="Try again, or look at the Hub's status page.")


class _NoRepositoryError(OpsError):
    """No such repository, or none that this token may see."""


class _NoRevisionError(OpsError):
    """The repository has no such branch, tag or commit."""


_BY_STATUS: dict[int, Callable[[str], OpsError]] = {
    401: functools.partial(
        NotAllowed,
        cause="The token is missing, wrong or revoked.",
        next_step=f"Make a token with the role write on {_TOKENS_PAGE}; set HF_TOKEN.",
    ),
    402: functools.partial(
        NotAllowed,
        cause="On cpu-basic, a Docker Space needs a PRO, Team or Enterprise plan.",
        next_step="Subscribe, set a prepaid hardware in space.toml, or try `ops rehearse`.",
    ),
    403: functools.partial(
        NotAllowed,
        cause="The token may not write there, or a quota is used up.",
        next_step=f"Use a token with the role write on that account: {_TOKENS_PAGE}.",
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


def _origin(host: Any, subdomain: Any) -> str:
    if host:
        return str(host).rstrip("/")
    return f"https://{subdomain}.hf.space" if subdomain else ""
