"""A Hub's repositories on disk: found, created, deleted, and a Space's settings beside them.

A repository is `DATA/spaces/OWNER/NAME/` (or `models`, `datasets`): git and large files as
`repository` keeps them, and `settings.json`. The settings hold the values of secrets, readable by
the file's owner alone: a local Hub is for rehearsals, give it rehearsal's secrets.

A repository comes, goes and moves by one rename, so that there is never half of one: it is made in
`DATA/.new`, and taken apart in `DATA/.gone`.
"""

from __future__ import annotations

import json
import secrets
import shutil
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_serializer

from ops import files
from ops.errors import ConfigError, OpsError
from ops.hub.attributes import ATTRIBUTES, FIRST_ATTRIBUTES
from ops.hub.errors import HubError, no_repository
from ops.hub.names import can_be_repository_name, checked_name, checked_repository_name
from ops.hub.repository import Author, Repository, Write
from ops.hub.timestamp import timestamp
from ops.hub.volume import Volume
from ops.hub.xorb import Xorbs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

__all__ = [
    "KINDS",
    "Gated",
    "Kind",
    "Repo",
    "Setting",
    "Settings",
    "Store",
    "Visibility",
    "Volume",
    "Wish",
    "checked_name",
]

Kind = Literal["spaces", "models", "datasets"]
KINDS: tuple[Kind, ...] = ("spaces", "models", "datasets")
Visibility = Literal["private", "protected", "public"]
Gated = Literal[False, "auto", "manual"]
Wish = Literal["run", "pause", "sleep"]
"""What a Space is to do, whatever it does."""

_SETTINGS = "settings.json"
_NEW, _GONE = ".new", ".gone"


class Setting(BaseModel):
    """A variable or a secret; `updated` in ISO 8601."""

    model_config = ConfigDict(frozen=True)

    value: SecretStr
    updated: str
    description: str = ""

    @field_serializer("value")
    def _plain(self, value: SecretStr) -> str:
        return value.get_secret_value()


class Settings(BaseModel):
    """What the Hub keeps about a repository outside git.

    `uid` is the Hub's own name for it, `former` the ids by which it was known before.
    """

    model_config = ConfigDict(frozen=True)

    uid: str = Field(default_factory=lambda: secrets.token_hex(12))
    former: tuple[str, ...] = ()
    gated: Gated = False
    visibility: Visibility = "public"
    sdk: str | None = None
    hardware: str = "cpu-basic"
    sleep_time: int | None = None
    wish: Wish = "run"
    volumes: tuple[Volume, ...] = ()
    mirror: bool = False
    variables: dict[str, Setting] = Field(default_factory=dict)
    secrets: dict[str, Setting] = Field(default_factory=dict)
    created: str = ""


@dataclass(frozen=True)
class Repo:
    """A repository of the Hub, by its full name."""

    kind: Kind
    owner: str
    name: str
    git: Repository

    @property
    def id(self) -> str:
        """`owner/name`."""
        return f"{self.owner}/{self.name}"


class Store:
    """All repositories below one folder; nobody else may be at work there when it begins.

    `xorbs` are what large files are made of that come by Xet.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._lock = threading.Lock()
        self._open: dict[Path, Repository] = {}
        self._former: dict[tuple[Kind, str], str] = {}
        self.xorbs = Xorbs(folder / "xet")
        for name in (_NEW, _GONE):
            shutil.rmtree(folder / name, ignore_errors=True)
        for kind in KINDS:
            for repo in self.all(kind):
                repo.git.clean()
                self._remember_kept(repo)

    def find(self, kind: Kind, owner: str, name: str) -> Repo:
        """A repository; raises HubError when there is none."""
        folder = self._path(kind, owner, name)
        if not (folder / _SETTINGS).is_file():
            raise no_repository()
        return Repo(kind, owner, name, self._opened(folder))

    def moved(self, kind: Kind, owner: str, name: str) -> Repo | None:
        """The repository that had this name before, unless another one has it now."""
        now = self._former.get((kind, f"{owner}/{name}"))
        if now is None or (self._path(kind, owner, name) / _SETTINGS).is_file():
            return None
        try:
            return self.find(kind, *now.split("/"))
        except HubError:
            return None  # deleted since

    def all(self, kind: Kind) -> list[Repo]:
        """Every repository of a kind, by name."""
        found = [path.parent for path in sorted((self._folder / kind).glob(f"*/*/{_SETTINGS}"))]
        return [Repo(kind, p.parent.name, p.name, self._opened(p)) for p in found]

    def create(
        self, kind: Kind, owner: str, name: str, settings: Settings, files: Sequence[Write] = ()
    ) -> Repo:
        """A new repository with the Hub's first commit, and `files` in it.

        Raises:
            HubError: there is one of that name, in whatever case (409), or the name cannot be
                (400).
        """
        first = {w.path: w for w in (Write(ATTRIBUTES, FIRST_ATTRIBUTES), *files)}

        def fill(git: Repository) -> None:
            git.commit(first.values(), message="initial commit\n", author=Author(owner))

        return self._make(kind, owner, name, settings, fill)

    def duplicate(self, repo: Repo, owner: str, name: str, settings: Settings) -> Repo:
        """A new repository with another's files; HubError as for `create`."""

        def fill(git: Repository) -> None:
            message = f"Duplicate from {repo.id}\n"
            git.take_over(repo.git, message=message, author=Author(owner))

        return self._make(repo.kind, owner, name, settings, fill)

    def move(self, repo: Repo, owner: str, name: str) -> Repo:
        """Give a repository another name; HubError as for `create`."""
        target = self._path(repo.kind, owner, checked_repository_name(name))
        with self._lock:
            self._refuse_taken(repo.kind, owner, name, but=repo)
            now = self.settings(repo)
            former = tuple(dict.fromkeys((*now.former, repo.id)))
            self.save(repo, now.model_copy(update={"former": former}))
            self._make_room(target)
            repo.git.folder.rename(target)
            self._forget(repo.git.folder)
            moved = Repo(repo.kind, owner, name, self._opened(target))
            self._remember(moved)
        return moved

    def mirror(self, model_id: str, folder: Path) -> Repo:
        """Serve a local folder as a model; its commit depends on its files alone.

        Raises:
            OpsError: the folder is none, the id is not `owner/name`, or that is a model which
                somebody uploaded.
        """
        owner, _, name = model_id.partition("/")
        if not name or not folder.is_dir():
            raise OpsError(
                f"{model_id}={folder} cannot be served as a model.",
                cause="The id must be OWNER/NAME and the folder must exist.",
                next_step="Correct --mirror ID=DIR.",
            )
        self._remove_mirror(owner, name)
        settings = Settings(mirror=True)

        def fill(git: Repository) -> None:
            git.import_folder(folder, message=f"Mirror of {model_id}")

        try:
            return self._make("models", owner, name, settings, fill)
        except HubError as error:
            raise OpsError(
                f"{model_id}={folder} cannot be served as a model.",
                cause=error.message,
                next_step="Give it another id with --mirror ID=DIR.",
            ) from error

    def delete(self, repo: Repo) -> None:
        """Remove a repository for good; raises HubError when somebody else has done so."""
        with self._lock:
            self.settings(repo)
            gone = self._put_aside(repo.git.folder)
        shutil.rmtree(gone, ignore_errors=True)  # git may still write there; the next start deletes

    def settings(self, repo: Repo) -> Settings:
        """What is kept about a repository outside git; raises HubError when it is gone (404)."""
        try:
            text = (repo.git.folder / _SETTINGS).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError as error:
            raise no_repository() from error
        try:
            return Settings.model_validate_json(text)
        except ValidationError:
            # Without its own text, which may show values.
            message = f"The settings of {repo.id} are damaged"
        raise HubError(500, message)

    def save(self, repo: Repo, settings: Settings) -> None:
        """Write a repository's settings, whole or not at all."""
        text = json.dumps(settings.model_dump(mode="json"))
        files.write(repo.git.folder / _SETTINGS, text.encode(), mode=0o600)

    def change(self, repo: Repo, change: Callable[[Settings], dict[str, Any]]) -> Settings:
        """Set the fields that `change` returns for the settings of now; returns all of them."""
        with self._lock:
            now = self.settings(repo)
            settings = now.model_copy(update=change(now))
            self.save(repo, settings)
        return settings

    def _path(self, kind: Kind, owner: str, name: str) -> Path:
        if not can_be_repository_name(owner) or not can_be_repository_name(name):
            raise no_repository()
        return self._folder / kind / owner / name

    def _opened(self, folder: Path) -> Repository:
        return self._open.setdefault(folder, Repository(folder))

    def _remember(self, repo: Repo) -> None:
        for former in self.settings(repo).former:
            self._former[repo.kind, former] = repo.id

    def _remember_kept(self, repo: Repo) -> None:
        """Of a repository that was there before; raises ConfigError when that cannot be served."""
        try:
            self._remember(repo)
        except HubError as error:
            raise ConfigError(
                f"{error.message}.",
                cause=f"Somebody has changed {repo.git.folder / _SETTINGS}.",
                next_step=f"Put it back, or delete {repo.git.folder} to do without the repository.",
            ) from error

    def _make(
        self,
        kind: Kind,
        owner: str,
        name: str,
        settings: Settings,
        fill: Callable[[Repository], object],
    ) -> Repo:
        target = self._path(kind, owner, checked_repository_name(name))
        with self._new() as folder:
            made = Repo(kind, owner, name, Repository.create(folder))
            fill(made.git)
            self.save(made, settings.model_copy(update={"created": timestamp()}))
            with self._lock:
                self._refuse_taken(kind, owner, name)
                self._make_room(target)
                folder.rename(target)
        return Repo(kind, owner, name, self._opened(target))

    def _make_room(self, target: Path) -> None:
        """For a repository to come by a rename, with the lock held and the name not taken.

        Git may have gone on writing under the name of one that was deleted or moved away.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            shutil.rmtree(self._put_aside(target), ignore_errors=True)

    def _put_aside(self, folder: Path) -> Path:
        """Have a folder no more by one rename; returns where it can be taken apart."""
        gone = self._folder / _GONE / secrets.token_hex(8)
        gone.parent.mkdir(exist_ok=True)
        folder.rename(gone)
        self._forget(folder)
        return gone

    def _forget(self, folder: Path) -> None:
        """Whoever still works on the repository that was there is not led to the next one."""
        before = self._open.pop(folder, None)
        if before is not None:
            before.leave()

    @contextmanager
    def _new(self) -> Iterator[Path]:
        folder = self._folder / _NEW / secrets.token_hex(8)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _refuse_taken(self, kind: Kind, owner: str, name: str, but: Repo | None = None) -> None:
        """Raise HubError (409) when a repository has the name, in whatever case."""
        for other in sorted((self._folder / kind).glob(f"*/*/{_SETTINGS}")):
            taken = f"{other.parent.parent.name}/{other.parent.name}"
            if taken.lower() != f"{owner}/{name}".lower():
                continue
            if but is None or taken != but.id or but.id == f"{owner}/{name}":
                message = f"You already created this {kind.removesuffix('s')} repo"
                raise HubError(409, message, extra={"id": taken})

    def _remove_mirror(self, owner: str, name: str) -> None:
        try:
            before = self.find("models", owner, name)
        except HubError:
            return
        if self.settings(before).mirror:
            self.delete(before)
