"""What the Hub tells about a repository: each fact by its name, found out when it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ops.hub.card import read_card
from ops.hub.errors import bad_request
from ops.hub.runtime import runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ops.hub.card import Card
    from ops.hub.repository import Commit, Entry
    from ops.hub.state import HubState
    from ops.hub.store import Kind, Repo, Settings


@dataclass
class Facts:
    """About a repository at a revision; `blobs` adds sizes to its files."""

    hub: HubState
    repo: Repo
    revision: str = "main"
    blobs: bool = False

    def of(self, names: Iterable[str]) -> dict[str, Any]:
        """Those of the facts that there are of this repository, with its id."""
        known = [name for name in names if name in _FACTS]
        return {"_id": self.settings.uid, "id": self.repo.id} | {
            name: _FACTS[name](self) for name in known
        }

    @cached_property
    def settings(self) -> Settings:
        """What is kept outside git."""
        return self.hub.store.settings(self.repo)

    @cached_property
    def commit(self) -> str:
        """The revision's.

        A mirror stands for every revision and tells its own commit, so that whoever pins a model
        pins what is there.
        """
        return self.repo.git.resolve("main" if self.settings.mirror else self.revision)

    @cached_property
    def newest(self) -> Commit:
        """The revision's, with its date."""
        return self.repo.git.log(self.commit, limit=1)[0]

    @cached_property
    def files(self) -> list[Entry]:
        """All files of the revision."""
        return [e for e in self.repo.git.tree(self.commit, recursive=True) if e.kind == "file"]

    @cached_property
    def card(self) -> Card:
        """The README's front matter."""
        return read_card(self.repo.git.text(self.commit, "README.md"))

    @property
    def sdk(self) -> str | None:
        """A Space's: as its README has it, else as it was created."""
        return self.card.sdk or self.settings.sdk

    @property
    def tags(self) -> list[str]:
        """The card's, and a Space's SDK."""
        listed = self.card.data.get("tags")
        tags = [str(tag) for tag in listed] if isinstance(listed, list) else []
        return tags + ([self.sdk] if self.repo.kind == "spaces" and self.sdk else [])

    def siblings(self) -> list[dict[str, Any]]:
        """All files, as information about a repository lists them."""
        return [_sibling(entry, blobs=self.blobs) for entry in self.files]

    def linked(self, key: str) -> list[str]:
        """Models or datasets that the card names."""
        listed = self.card.data.get(key)
        return [str(entry) for entry in listed] if isinstance(listed, list) else []


def _sibling(entry: Entry, *, blobs: bool) -> dict[str, Any]:
    if not blobs:
        return {"rfilename": entry.shown}
    body: dict[str, Any] = {"rfilename": entry.shown, "size": entry.size, "blobId": entry.oid}
    if entry.large is not None:
        body["lfs"] = {
            "sha256": entry.large.sha256,
            "size": entry.size,
            "pointerSize": entry.pointer_size,
        }
    return body


_SUBDOMAIN = str.maketrans("/._", "---")
"""`<owner>-<name>`: observed on huggingface.co; what it does with long names is not known."""

_FACTS: dict[str, Callable[[Facts], Any]] = {
    "author": lambda facts: facts.repo.owner,
    "cardData": lambda facts: facts.card.data,
    "createdAt": lambda facts: facts.settings.created,
    "datasets": lambda facts: facts.linked("datasets"),
    "disabled": lambda _: False,
    "downloads": lambda _: 0,
    "downloadsAllTime": lambda _: 0,
    "gated": lambda facts: facts.settings.gated,
    "host": lambda facts: facts.hub.space(facts.repo).host,
    "lastModified": lambda facts: facts.newest.date,
    "library_name": lambda facts: facts.card.data.get("library_name"),
    "likes": lambda _: 0,
    "models": lambda facts: facts.linked("models"),
    "pipeline_tag": lambda facts: facts.card.data.get("pipeline_tag"),
    "private": lambda facts: facts.settings.visibility == "private",
    "resourceGroup": lambda _: None,
    "runtime": lambda facts: runtime(facts.hub.space(facts.repo), facts.settings),
    "sdk": lambda facts: facts.sdk,
    "sha": lambda facts: facts.commit,
    "siblings": Facts.siblings,
    "subdomain": lambda facts: facts.repo.id.lower().translate(_SUBDOMAIN),
    "tags": lambda facts: facts.tags,
    "trendingScore": lambda _: 0,
    "usedStorage": lambda facts: sum(entry.size for entry in facts.files),
}

_SHARED = (
    *("author", "cardData", "createdAt", "disabled", "lastModified", "likes", "private"),
    *("resourceGroup", "sha", "siblings", "tags", "trendingScore", "usedStorage"),
)
_OF_MODELS = (
    *("baseModels", "childrenModelCount", "config", "downloads", "downloadsAllTime"),
    *("evalResults", "gated", "gguf", "inference", "inferenceProviderMapping", "library_name"),
    *("mask_token", "model-index", "pipeline_tag", "safetensors", "spaces", "transformersInfo"),
    "widgetData",
)
_OF_DATASETS = (
    *("citation", "description", "downloads", "downloadsAllTime", "gated", "mainSize"),
    "paperswithcode_id",
)
_OF_SPACES = ("datasets", "models", "region", "runtime", "sdk", "subdomain")
EXPANDABLE: dict[Kind, frozenset[str]] = {
    "models": frozenset(_SHARED + _OF_MODELS),
    "datasets": frozenset(_SHARED + _OF_DATASETS),
    "spaces": frozenset(_SHARED + _OF_SPACES),
}
"""What `expand` may name, as the client's types have it (`hf_api.py`, `Expand…Property_T`)."""

_ONLY = {"models": ("downloads",), "datasets": ("downloads",), "spaces": ("sdk",)}
_LISTED = ("createdAt", "gated", "likes", "private", "tags")
_WHOLE = (*_LISTED, "author", "cardData", "disabled", "lastModified", "sha", "siblings")


def usual(kind: Kind, *, listed: bool) -> tuple[str, ...]:
    """What is told without `expand`: in a list less than of one repository."""
    if listed:
        return _LISTED + _ONLY[kind]
    space = ("host", "subdomain", "runtime", "models", "datasets") if kind == "spaces" else ()
    return (*_WHOLE, "usedStorage", *_ONLY[kind], *space)


def expanded(kind: Kind, asked: list[str]) -> list[str]:
    """The names that are asked for; raises HubError (400) when one of them is no fact."""
    names = [name for entry in asked for name in entry.split(",")]
    for name in names:
        if name not in EXPANDABLE[kind]:
            known = ", ".join(sorted(EXPANDABLE[kind]))
            raise bad_request(f'"expand" must be one of [{known}]')
    return names
