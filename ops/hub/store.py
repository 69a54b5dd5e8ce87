"""A Hub's repositories on disk: found, created, deleted, and a Space's settings beside them.

A repository is `DATA/spaces/OWNER/NAME/` (or `models`): git and large files as `repository` keeps
them, and `settings.json`. The settings hold the values of secrets, readable by the file's owner
alone: a local Hub is for rehearsals, give it rehearsal's secrets.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_serializer

from ops.errors import OpsError
from ops.hub.errors import HubError, bad_request, no_repository
from ops.hub.repository import Author, Repository, Write
from ops.hub.timestamp import timestamp

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_NAME = re.compile(r"[a-zA-Z][_a-zA-Z0-9]*")
"""Names of variables and secrets, as the Hub's OpenAPI description has them."""

Kind = Literal["spaces", "models", "datasets"]
Visibility = Literal["private", "protected", "public"]


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
    """What the Hub keeps about a repository outside git."""

    model_config = ConfigDict(frozen=True)

    visibility: Visibility = "public"
    sdk: str | None = None
    hardware: str = "cpu-basic"
    sleep_time: int | None = None
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
    """All repositories below one folder."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._lock = threading.Lock()

    def find(self, kind: Kind, owner: str, name: str) -> Repo:
        """A repository; raises HubError when there is none."""
        folder = self._path(kind, owner, name)
        if not (folder / "settings.json").is_file():
            raise no_repository()
        return Repo(kind, owner, name, Repository(folder))

    def all(self, kind: Kind) -> list[Repo]:
        """Every repository of a kind, by name."""
        found = sorted((self._folder / kind).glob("*/*/settings.json"))
        return [self.find(kind, p.parent.parent.name, p.parent.name) for p in found]

    def create(self, kind: Kind, owner: str, name: str, settings: Settings) -> Repo:
        """A new repository with the Hub's first commit; raises HubError (409) when it exists."""
        folder = self._path(kind, owner, name)
        with self._lock:
            if folder.exists():
                raise HubError(409, f"You already created this {kind.removesuffix('s')} repo")
            repo = Repo(kind, owner, name, Repository.create(folder))
            repo.git.commit(
                [Write(".gitattributes", _GIT_ATTRIBUTES), *_first_readme(settings.sdk, name)],
                message="initial commit",
                author=Author(owner),
            )
            self.save(repo, settings.model_copy(update={"created": timestamp()}))
        return repo

    def mirror(self, model_id: str, folder: Path) -> Repo:
        """Serve a local folder as a model; its commit depends on its files alone.

        Raises:
            OpsError: the folder is none, or the id is not `owner/name`.
        """
        owner, _, name = model_id.partition("/")
        if not name or not folder.is_dir():
            raise OpsError(
                f"{model_id}={folder} cannot be served as a model.",
                cause="The id must be OWNER/NAME and the folder must exist.",
                next_step="Correct --mirror ID=DIR.",
            )
        target = self._path("models", owner, name)
        shutil.rmtree(target, ignore_errors=True)
        repo = Repo("models", owner, name, Repository.create(target))
        repo.git.import_folder(folder, message=f"Mirror of {model_id}")
        self.save(repo, Settings(mirror=True, created=timestamp()))
        return repo

    def delete(self, repo: Repo) -> None:
        """Remove a repository for good."""
        shutil.rmtree(repo.git.folder)

    def settings(self, repo: Repo) -> Settings:
        """What is kept about a repository outside git."""
        text = (repo.git.folder / "settings.json").read_text(encoding="utf-8")
        try:
            return Settings.model_validate_json(text)
        except ValidationError:
            # Without its own text, which may show values.
            message = f"The settings of {repo.id} are damaged"
        raise HubError(500, message)

    def save(self, repo: Repo, settings: Settings) -> None:
        """Write a repository's settings, whole or not at all."""
        path = repo.git.folder / "settings.json"
        part = path.with_suffix(".part")
        part.touch(mode=0o600)
        with part.open("w", encoding="utf-8") as file:
            json.dump(settings.model_dump(mode="json"), file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)

    def change(self, repo: Repo, change: Callable[[Settings], dict[str, Any]]) -> Settings:
        """Set the fields that `change` returns for the settings of now; returns all of them."""
        with self._lock:
            now = self.settings(repo)
            settings = now.model_copy(update=change(now))
            self.save(repo, settings)
        return settings

    def _path(self, kind: Kind, owner: str, name: str) -> Path:
        if {owner, name} & {"", ".", ".."} or any("/" in part for part in (owner, name)):
            raise no_repository()
        return self._folder / kind / owner / name


def checked_name(name: Any) -> str:
    """The name of a variable or secret; raises HubError when it cannot be one."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise bad_request(f"A name must match ^{_NAME.pattern}$")
    return name


def _first_readme(sdk: str | None, name: str) -> list[Write]:
    if sdk is None:
        return []
    card = f"---\ntitle: {json.dumps(name)}\nsdk: {sdk}\npinned: false\n---\n"
    return [Write("README.md", card.encode())]


_GIT_ATTRIBUTES = b"".join(
    b"%b filter=lfs diff=lfs merge=lfs -text\n" % pattern
    for pattern in (b"*.bin", b"*.onnx", b"*.pt", b"*.safetensors", b"*.zip", b"*.gz")
)
