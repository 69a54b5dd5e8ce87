"""`ops releases`: the proven versions of a Space, and the record that is kept of each.

A release is a tag, `release-N`. The Hub tells no tag's message, so what a release was is a line of
a file on a branch of its own, on which nothing else lies and which starts no build. It is written
before the tag, so that a tag has its record; a record without a tag is of no release.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from ops.canaries import Canaries
from ops.config import Visibility  # noqa: TC001 -- pydantic reads it when it runs
from ops.errors import ConfigError
from ops.find_space import find_space

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ops.adapters.hf_hub import Hub

BRANCH = "releases"
_RECORDS = "releases.jsonl"
_CANARIES = "canaries.json"
_TAG = "release-"
_RELEASE = re.compile(rf"{_TAG}(0|[1-9][0-9]{{0,8}})")


class Settings(BaseModel):
    """A Space's settings as the Hub told them; a secret by when it was set, never by its value."""

    model_config = ConfigDict(frozen=True)

    visibility: Visibility
    hardware: str | None
    sleep_time: int | None
    variables: dict[str, str]
    secrets: dict[str, str | None]


class Record(BaseModel):
    """What a release was. `restores` is the number of the release that it is again, if any.

    `toolkit_commit` is the commit of this project that it was made with; `p50_ms` the median time
    of a short query, as measured from where it was deployed.
    """

    model_config = ConfigDict(frozen=True)

    number: int
    commit: str
    time: AwareDatetime
    toolkit: str
    toolkit_commit: str | None
    model: str
    revision: str
    fingerprint: str
    p50_ms: float | None
    settings: Settings
    restores: int | None = None


@dataclass(frozen=True)
class Release:
    """A proven version. `record` is None when none was kept, or it was damaged by hand."""

    number: int
    commit: str
    record: Record | None

    @property
    def name(self) -> str:
        """Its tag."""
        return f"{_TAG}{self.number}"

    @property
    def restores(self) -> int | None:
        """The number of the release that it is again, if any."""
        return self.record.restores if self.record is not None else None


@dataclass(frozen=True)
class Releases:
    """Those of one Space, the oldest first."""

    all: tuple[Release, ...] = ()

    @property
    def last(self) -> Release | None:
        """The newest."""
        return self.all[-1] if self.all else None

    @property
    def recorded(self) -> bool:
        """Whether the newest is one of ours for certain: anybody may call a tag release-1."""
        return self.last is not None and self.last.record is not None

    def find(self, number: int) -> Release:
        """The release of a number; raises ConfigError when there is none."""
        for release in self.all:
            if release.number == number:
                return release
        raise ConfigError(
            f"There is no release {number}.",
            next_step="ops releases lists them." if self.all else "ops deploy makes the first one.",
        )

    def before_last(self) -> Release:
        """What a rollback goes back to: the one before the newest, or before what that restored.

        Raises:
            ConfigError: there is none.
        """
        last = self.last
        origin = (last.restores or last.number) if last is not None else 0
        before = [r for r in self.all if r.number < origin and r.restores is None]
        if not before:
            raise ConfigError(
                "There is no earlier release to go back to.", next_step="ops releases lists them."
            )
        return before[-1]


@dataclass(frozen=True)
class Listing:
    """A Space's releases; `commit` is its newest, `running` the one that runs."""

    repo_id: str
    commit: str
    running: str | None
    releases: tuple[Release, ...]

    def data(self) -> dict[str, Any]:
        """As JSON has it, the newest first."""
        return {
            "repo_id": self.repo_id,
            "commit": self.commit,
            "running_commit": self.running,
            "releases": [_data(release) for release in reversed(self.releases)],
        }


def listed(hub: Hub, repo_id: str) -> Listing:
    """Look; raises ConfigError when there is no such Space."""
    space = find_space(hub, repo_id)
    running = hub.runtime(space.repo_id).commit
    return Listing(space.repo_id, space.commit, running, read(hub, space.repo_id).all)


def lines(listing: Listing) -> Iterator[str]:
    """For people, the newest first."""
    if not listing.releases:
        yield f"{listing.repo_id} has no release yet: ops deploy makes the first."
    for release in reversed(listing.releases):
        marks = [f"again {_TAG}{release.restores}"] if release.restores is not None else []
        if release == listing.releases[-1]:
            marks += ["runs now"] if listing.running == release.commit else ["does not run now"]
        told = _told(release.record) if release.record is not None else "no record of it is kept"
        yield "  ".join(
            [f"{release.name:<11}", release.commit[:8], told, ", ".join(marks)]
        ).rstrip()


def _told(record: Record) -> str:
    time = record.time.astimezone().strftime("%Y-%m-%d %H:%M")
    p50 = "" if record.p50_ms is None else f"{record.p50_ms:.1f} ms"
    return f"{time}  {record.model}  {record.fingerprint[:8]}  {p50:>8}"


def _data(release: Release) -> dict[str, Any]:
    record = release.record.model_dump(mode="json") if release.record is not None else {}
    return {"name": release.name, "number": release.number, "commit": release.commit, **record}


def names(tags: Mapping[str, str]) -> list[str]:
    """Those of the tags that are releases, the oldest first.

    Somebody's own `release-007` or `release-next` is none.
    """
    return sorted(filter(_RELEASE.fullmatch, tags), key=_number)


def _number(name: str) -> int:
    return int(name.removeprefix(_TAG))


def read(hub: Hub, repo_id: str) -> Releases:
    """The Space's releases with their records."""
    refs = hub.refs(repo_id)
    head = refs.branches.get(BRANCH)
    text = hub.find_file(repo_id, _RECORDS, head) if head is not None else None
    records = {(r.number, r.commit): r for r in _records(text or b"")}
    found = []
    for name in names(refs.tags):
        number, commit = _number(name), refs.tags[name]
        found.append(Release(number, commit, records.get((number, commit))))
    return Releases(tuple(found))


def canaries(hub: Hub, repo_id: str) -> Canaries | None:
    """The vectors of the newest release; None before the first."""
    head = hub.refs(repo_id).branches.get(BRANCH)
    text = hub.find_file(repo_id, _CANARIES, head) if head is not None else None
    try:
        return Canaries.model_validate_json(text) if text is not None else None
    except ValidationError:
        return None  # damaged by hand; the next release writes it anew


def keep(hub: Hub, repo_id: str, record: Record, vectors: Canaries) -> Release:
    """Write a release's record, then its tag. Doing it again after an interruption is well."""
    branches = hub.refs(repo_id).branches
    if BRANCH not in branches:
        hub.create_branch(repo_id, BRANCH, commit=record.commit)
        branches = hub.refs(repo_id).branches
    head = branches[BRANCH]
    text = hub.find_file(repo_id, _RECORDS, head)
    others = [r for r in _records(text or b"") if r.number != record.number]
    lines = [r.model_dump_json() + "\n" for r in (*others, record)]
    hub.commit(
        repo_id,
        add={
            _RECORDS: "".join(lines).encode(),
            _CANARIES: f"{vectors.model_dump_json()}\n".encode(),
        },
        # A branch begins as a copy of the Space.
        delete=() if text is not None else sorted(hub.files(repo_id, head)),
        title=f"Record {_TAG}{record.number}",
        description=f"Proven: {record.commit}",
        parent=head,
        branch=BRANCH,
    )
    release = Release(record.number, record.commit, record)
    hub.tag(repo_id, release.name, commit=record.commit, message=record.model_dump_json())
    return release


def _records(text: bytes) -> Iterator[Record]:
    for line in text.splitlines():
        try:
            yield Record.model_validate_json(line)
        except ValidationError:
            continue  # its release is shown as one without a record
