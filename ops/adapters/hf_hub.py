"""The Hub, through the real client.

Works the same against huggingface.co and the local Hub; endpoint and token are arguments. Every
failure of the client is translated, once, into `ops.errors`.
"""

from __future__ import annotations

import secrets
from contextlib import closing, contextmanager
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar

import httpx2
import huggingface_hub
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.utils._headers import build_hf_headers
from huggingface_hub.utils._http import hf_raise_for_status
from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from ops.adapters.hang_up import HangUp
from ops.adapters.hf_account import Account, account_of
from ops.adapters.hf_client import configure, keep_at_home
from ops.adapters.hf_errors import (
    NoFileError,
    NoRepositoryError,
    NoRevisionError,
    hub_errors,
    reading_errors,
)
from ops.adapters.hf_log import LOG_SO_FAR, QUIET, SILENT, lines_so_far, lines_to_come
from ops.adapters.retries import Retries
from ops.config import FREE_HARDWARE
from ops.errors import ConfigError, Conflict
from ops.http_client import ENDLESS, MIB, Limits, within
from ops.redaction import hide

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from huggingface_hub import SpaceRuntime

    from ops.adapters.hf_log import LogLine
    from ops.config import Visibility

T = TypeVar("T")

_LIBRARY = "embedding-space"

_LIMIT = 120.0
"""Seconds for all that one question takes, each try of it."""
_SLOW_UPLOAD = 100_000
"""Bytes that an upload may need a second for."""
_FILE = Limits(size=64 * MIB)
_NAMED = TypeAdapter(dict[str, str])

GIT_USER = "hf_user"
"""Who git says it is beside a token; the Hub goes by the token (its client's `_git_credential`)."""


@dataclass(frozen=True)
class ModelState:
    """A model at a revision: the commit that this names, and the licence of its card."""

    commit: str
    licence: str | None


@dataclass(frozen=True)
class SpaceState:
    """A Space as the Hub describes it; `url` is the app's own origin."""

    repo_id: str
    commit: str
    private: bool
    url: str


@dataclass(frozen=True)
class Refs:
    """Names of a repository's tags and branches, each with the commit that it names."""

    tags: dict[str, str]
    branches: dict[str, str]


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


class Hub:
    """One endpoint seen with one token; without a token, as a stranger sees it."""

    def __init__(self, endpoint: str, token: str | None, *, retries: Retries | None = None):
        configure()
        self.endpoint = endpoint.rstrip("/")
        self.token = token
        hide(token)
        keep_at_home(token, endpoint)
        self._retries = retries or Retries()
        self._api = HfApi(endpoint=self.endpoint, token=token or False, library_name=_LIBRARY)

    def __repr__(self) -> str:
        return f"Hub({self.endpoint!r})"

    def account(self) -> Account:
        """Whose token this is; raises NotAllowed for one that the Hub does not know."""
        return self._ask(
            "ask who the token belongs to", lambda: account_of(dict(self._api.whoami()))
        )

    def full_name(self, repo_id: str) -> str:
        """`owner/name`; a name alone is one of the token's owner, who is asked for then only."""
        return repo_id if "/" in repo_id else self.account().full_name(repo_id)

    def space(self, repo_id: str) -> SpaceState | None:
        """The Space, or None when there is none that this token may see."""

        def look() -> SpaceState:
            info = self._api.space_info(repo_id)
            return SpaceState(
                repo_id=info.id,
                commit=info.sha or "",
                private=bool(info.private),
                url=_origin(info.host, info.subdomain),
            )

        try:
            return self._ask(f"look at {repo_id}", look)
        except NoRepositoryError:
            return None

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

        def created() -> object:
            return True if self._api.repo_exists(repo_id, repo_type="space") else None

        def create() -> object:
            return self._api.create_repo(
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

        self._do(f"create {repo_id}", create, created)

    def model_commit(self, model_id: str, revision: str) -> str:
        """The commit that a model's revision names now; raises as `model` does."""
        return self.model(model_id, revision).commit

    def model(self, model_id: str, revision: str) -> ModelState:
        """A model at a revision.

        Raises:
            ConfigError: there is no such model or revision, or this token may not see it.
        """

        def look() -> ModelState:
            info = self._api.model_info(model_id, revision=revision)
            licence = info.card_data.get("license") if info.card_data is not None else None
            return ModelState(_commit(info.sha), _licence(licence))

        try:
            return self._ask(f"look at the model {model_id}", look)
        except (NoRepositoryError, NoRevisionError) as error:
            raise ConfigError(
                f"{self.endpoint} has no model {model_id} at revision {revision}.",
                cause="The id or the revision is misspelt, or the model is private.",
                next_step="Correct model.id or model.revision in space.toml.",
            ) from error

    def flavours(self) -> dict[str, float | None]:
        """Name -> dollars an hour of each hardware that a Space may ask for; None if not told."""
        per_hour = {"minute": 60, "hour": 1}

        def listed() -> dict[str, float | None]:
            return {
                str(flavour.name): float(flavour.unit_cost_usd) * per_hour[flavour.unit_label]
                if flavour.unit_label in per_hour
                else None
                for flavour in self._api.list_spaces_hardware()
            }

        return self._ask("list the hardware", listed)

    def time(self) -> datetime | None:
        """The Hub's clock, by the Date of an answer; None for a Hub that does not tell it."""
        reply = self._ask(
            "ask for the time", lambda: huggingface_hub.get_session().head(self.endpoint)
        )
        try:
            return parsedate_to_datetime(reply.headers.get("date", "")).replace(tzinfo=UTC)
        except ValueError:
            return None

    def commit_messages(self, repo_id: str) -> tuple[str, ...]:
        """Title and description of the Space's commits, the newest first."""

        def listed() -> tuple[str, ...]:
            commits = self._api.list_repo_commits(repo_id, repo_type="space")
            return tuple(f"{commit.title}\n{commit.message}" for commit in commits)

        return self._ask(f"list the commits of {repo_id}", listed)

    def files(self, repo_id: str, revision: str) -> dict[str, str]:
        """Path -> git blob id of every file at a revision."""

        def listed() -> dict[str, str]:
            entries = self._api.list_repo_tree(
                repo_id, repo_type="space", revision=revision, recursive=True
            )
            return _NAMED.validate_python(
                {
                    entry.path: entry.blob_id
                    for entry in entries
                    if isinstance(entry, huggingface_hub.hf_api.RepoFile)
                }
            )

        return self._ask(f"list the files of {repo_id}", listed)

    def find_file(self, repo_id: str, path: str, revision: str) -> bytes | None:
        """The content of one file at a revision; None when it has no such file."""
        try:
            return self.read_file(repo_id, path, revision)
        except NoFileError:
            return None

    def read_file(self, repo_id: str, path: str, revision: str) -> bytes:
        """The content of one file at a revision.

        The client's own download asks twice, and tells a lost connection as a missing file.
        """
        url = huggingface_hub.hf_hub_url(
            repo_id, path, repo_type="space", revision=revision, endpoint=self.endpoint
        )

        def read() -> bytes:
            reply = huggingface_hub.get_session().get(
                url, headers=self._headers(), extensions=_FILE.extensions()
            )
            hf_raise_for_status(reply)
            return reply.content

        return self._ask(f"read {path} of {repo_id}", read)

    def commit(
        self,
        repo_id: str,
        *,
        add: Mapping[str, bytes],
        delete: Sequence[str],
        title: str,
        description: str,
        parent: str,
        branch: str = "main",
    ) -> str:
        """One atomic commit on top of `parent`, the newest of `branch`; returns its id.

        Raises:
            Conflict: somebody else committed meanwhile; nothing was written.
        """
        operations: list[CommitOperationAdd | CommitOperationDelete] = [
            CommitOperationAdd(path_in_repo=path, path_or_fileobj=content)
            for path, content in add.items()
        ]
        operations += [CommitOperationDelete(path_in_repo=path) for path in delete]
        # What tells our commit from anybody else's when its reply was lost.
        mark = f"Deployment: {secrets.token_hex(8)}"

        def push() -> str:
            return self._api.create_commit(
                repo_id,
                operations,
                commit_message=title,
                commit_description=f"{description}\n{mark}",
                repo_type="space",
                revision=branch,
                parent_commit=parent,
            ).oid

        def pushed() -> str | None:
            commits = self._api.list_repo_commits(repo_id, repo_type="space", revision=branch)
            return next((c.commit_id for c in commits if mark in c.message), None)

        doing = f"commit to {repo_id}"
        try:
            return self._do(doing, push, pushed, size=sum(map(len, add.values())))
        except Conflict:
            # What came first may be our own commit, whose reply was lost.
            if (ours := self._ask(doing, pushed)) is not None:
                return ours
            raise

    def require_git(self, repo_id: str, service: str) -> None:
        """Ask what git asks first (gitprotocol-http(5)), as git itself does not tell a refusal.

        Raises:
            NotAllowed: this token may not fetch or push there.
            HubUnreachable: nobody answers.
        """

        def ask() -> None:
            reply = huggingface_hub.get_session().get(
                f"{self.endpoint}/spaces/{repo_id}/info/refs",
                params={"service": service},
                auth=(GIT_USER, self.token) if self.token else None,
            )
            hf_raise_for_status(reply)

        self._ask(f"use git with {repo_id}", ask)

    def runtime(self, repo_id: str) -> Runtime:
        """What the Space is doing now."""
        return self._ask(
            f"ask for the stage of {repo_id}",
            lambda: _runtime(self._api.get_space_runtime(repo_id)),
        )

    def restart(self, repo_id: str, *, factory: bool = False) -> Runtime:
        """Start the Space again, also a paused one; `factory` builds it anew without any cache."""
        return self._do(
            f"restart {repo_id}",
            lambda: _runtime(self._api.restart_space(repo_id, factory_reboot=factory)),
        )

    def pause(self, repo_id: str) -> Runtime:
        """Stop the Space until it is restarted."""
        return self._do(f"pause {repo_id}", lambda: _runtime(self._api.pause_space(repo_id)))

    def delete_space(self, repo_id: str) -> None:
        """Remove the Space with all that is in it, for ever."""

        def gone() -> object:
            return None if self._api.repo_exists(repo_id, repo_type="space") else True

        def delete() -> object:
            self._api.delete_repo(repo_id, repo_type="space")
            return True

        self._do(f"delete {repo_id}", delete, gone)

    @contextmanager
    def log(
        self,
        repo_id: str,
        *,
        build: bool,
        follow: bool,
        tail: int | None = None,
        hang_up: HangUp | None = None,
    ) -> Iterator[Iterator[LogLine]]:
        """The build's or the app's log from its beginning, or its last `tail` lines.

        With `follow` it goes on with what comes, until `hang_up` is called. The client's own
        reader tells no times, by which alone it can be known where to go on after a lost
        connection, and passes no `tail`, which is in the Hub's description.

        Raises:
            HubUnreachable: it could not be opened, or, at any line, the connection was lost
                (or hung up).
        """
        http = huggingface_hub.get_session()
        request = http.build_request(
            "GET",
            f"{self.endpoint}/api/spaces/{repo_id}/logs/{'build' if build else 'run'}",
            params={} if tail is None else {"tail": tail},
            # A compressed stream comes late.
            headers={**self._headers(), "Accept-Encoding": "identity"},
            timeout=httpx2.Timeout(60, connect=20, read=SILENT if follow else QUIET),
            extensions=(ENDLESS if follow else LOG_SO_FAR).extensions(),
        )

        def opened() -> httpx2.Response:
            response = http.send(request, stream=True)
            hf_raise_for_status(response)
            return response

        with (
            hub_errors(f"read the logs of {repo_id}", self.endpoint),
            closing(self._retries.read(lambda: within(_LIMIT, opened))) as response,
            (hang_up or HangUp()).reading(response),
        ):
            yield lines_to_come(response) if follow else lines_so_far(response)

    def variables(self, repo_id: str) -> dict[str, str]:
        """Name -> value of the Space's variables."""

        def read() -> dict[str, str]:
            found = self._api.get_space_variables(repo_id)
            return _NAMED.validate_python({name: v.value for name, v in found.items()})

        return self._ask(f"read the variables of {repo_id}", read)

    def set_variable(self, repo_id: str, name: str, value: str) -> None:
        """Set a variable; the app restarts."""

        def there() -> object:
            live = self._api.get_space_variables(repo_id).get(name)
            return live if live is not None and live.value == value else None

        self._do(
            f"set the variable {name} of {repo_id}",
            lambda: self._api.add_space_variable(repo_id, name, value),
            there,
        )

    def unset_variable(self, repo_id: str, name: str) -> None:
        """Remove a variable; the app restarts."""
        self._do(
            f"remove the variable {name} of {repo_id}",
            lambda: self._api.delete_space_variable(repo_id, name),
            lambda: True if name not in self._api.get_space_variables(repo_id) else None,
        )

    def secrets(self, repo_id: str) -> frozenset[str]:
        """Names of the Space's secrets; the Hub never tells their values."""
        return frozenset(self.secret_times(repo_id))

    def secret_times(self, repo_id: str) -> dict[str, str | None]:
        """Name -> when it was set, in ISO 8601, of the Space's secrets."""

        def listed() -> dict[str, str | None]:
            return {
                name: secret.updated_at.isoformat() if secret.updated_at is not None else None
                for name, secret in self._api.get_space_secrets(repo_id).items()
            }

        return self._ask(f"list the secrets of {repo_id}", listed)

    def set_secret(self, repo_id: str, name: str, value: str) -> None:
        """Set a secret; the app restarts."""
        self._do(
            f"set the secret {name} of {repo_id}",
            lambda: self._api.add_space_secret(repo_id, name, value),
        )

    def unset_secret(self, repo_id: str, name: str) -> None:
        """Remove a secret; the app restarts."""
        self._do(
            f"remove the secret {name} of {repo_id}",
            lambda: self._api.delete_space_secret(repo_id, name),
            lambda: True if name not in self._api.get_space_secrets(repo_id) else None,
        )

    def set_visibility(self, repo_id: str, visibility: Visibility) -> None:
        """Make the Space private, protected or public."""
        self._do(
            f"make {repo_id} {visibility}",
            lambda: self._api.update_repo_settings(
                repo_id, repo_type="space", visibility=visibility
            ),
        )

    def set_hardware(self, repo_id: str, hardware: str, sleep_time: int | None) -> None:
        """Move the Space to other hardware; the app restarts."""

        def asked_for() -> object:
            runtime = self._api.get_space_runtime(repo_id)
            return runtime if runtime.requested_hardware == hardware else None

        self._do(
            f"move {repo_id} to {hardware}",
            lambda: self._api.request_space_hardware(
                repo_id,
                # As above: a name that the client's enum lacks is taken too.
                hardware,  # type: ignore[arg-type]
                # It is fixed on free hardware, and the client warns whoever names one.
                sleep_time=None if hardware == FREE_HARDWARE else sleep_time,
            ),
            asked_for,
        )

    def set_sleep_time(self, repo_id: str, seconds: int) -> None:
        """Set after how many seconds without a request the Space sleeps; -1 is never."""
        self._do(
            f"set the sleep time of {repo_id}",
            lambda: self._api.set_space_sleep_time(repo_id, seconds),
        )

    def refs(self, repo_id: str) -> Refs:
        """The Space's tags and branches."""

        def listed() -> Refs:
            refs = self._api.list_repo_refs(repo_id, repo_type="space")
            return Refs(
                tags={tag.name: tag.target_commit for tag in refs.tags},
                branches={branch.name: branch.target_commit for branch in refs.branches},
            )

        return self._ask(f"list the tags of {repo_id}", listed)

    def tags(self, repo_id: str) -> Mapping[str, str]:
        """Tag -> the commit it names."""
        return self.refs(repo_id).tags

    def create_branch(self, repo_id: str, name: str, *, commit: str) -> None:
        """Make a branch that begins at a commit."""

        def made() -> object:
            refs = self._api.list_repo_refs(repo_id, repo_type="space")
            return next((branch for branch in refs.branches if branch.name == name), None)

        def make() -> object:
            self._api.create_branch(repo_id, branch=name, revision=commit, repo_type="space")
            return True

        self._do(f"make the branch {name} of {repo_id}", make, made)

    def tag(self, repo_id: str, name: str, *, commit: str, message: str) -> None:
        """Tag a commit."""

        def tagged() -> object:
            refs = self._api.list_repo_refs(repo_id, repo_type="space")
            found = (t for t in refs.tags if (t.name, t.target_commit) == (name, commit))
            return next(found, None)

        self._do(
            f"tag {repo_id}",
            lambda: self._api.create_tag(
                repo_id, tag=name, tag_message=message, revision=commit, repo_type="space"
            ),
            tagged,
        )

    def _headers(self) -> dict[str, str]:
        return build_hf_headers(token=self.token or False, library_name=_LIBRARY)

    def _ask(self, doing: str, ask: Callable[[], T]) -> T:
        """A request that changes nothing, tried again where that may help."""
        with hub_errors(doing, self.endpoint):
            return self._retries.read(self._limited(doing, ask))

    def _do(
        self,
        doing: str,
        do: Callable[[], T],
        landed: Callable[[], T | None] = lambda: None,
        *,
        size: int = 0,
    ) -> T:
        """A request that changes something, and sends `size` bytes for it.

        Where its reply was lost, `landed` looks whether it was done all the same. Without one it
        is such that doing it twice is as good as once.
        """
        with hub_errors(doing, self.endpoint):
            return self._retries.write(self._limited(doing, do, size), self._limited(doing, landed))

    def _limited(self, doing: str, ask: Callable[[], T], size: int = 0) -> Callable[[], T]:
        """The same within a time limit, and raising OpsError for what is no Hub's answer."""

        def asked() -> T:
            with reading_errors(doing, self.endpoint):
                return within(_LIMIT + size / _SLOW_UPLOAD, ask)

        return asked


def _runtime(told: SpaceRuntime) -> Runtime:
    return Runtime(
        stage=told.stage,
        commit=told.raw.get("sha"),
        hardware=told.requested_hardware or told.hardware,
        sleep_time=told.sleep_time,
        error_message=told.raw.get("errorMessage"),
    )


def _commit(value: str | None) -> str:
    if not value:
        raise ValueError("no commit")
    return value


def _licence(value: Any) -> str | None:
    """The card's licence; some cards list several."""
    names = value if isinstance(value, list) else [value]
    return ", ".join(str(name) for name in names if name) or None


def _origin(host: Any, subdomain: Any) -> str:
    if host:
        return str(host).rstrip("/")
    return f"https://{subdomain}.hf.space" if subdomain else ""
