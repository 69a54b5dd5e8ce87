"""`ops plan`: what a deploy would change, by comparing space.toml with the Space on the Hub.

Looks only. `ops deploy` carries out exactly this.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from ops import releases
from ops.config import FREE_HARDWARE
from ops.readers import Readers
from ops.redaction import hide
from ops.render import blob_ids
from ops.secret_scan import published
from ops.stages import IDLE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from ops.adapters.hf_hub import Hub, Runtime, SpaceState
    from ops.config import Config, Visibility
    from ops.releases import Release, Releases
    from ops.render import Tree
    from ops.secret_scan import Suspect
    from ops.written import Written

HOURS_A_MONTH = 730
_MADE_BY_THE_HUB = frozenset({".gitattributes"})
OF_A_NEW_SPACE = _MADE_BY_THE_HUB | {"README.md"}
"""What a Space that was just created holds."""
_MODEL = "model.toml"
_OF_OURS = frozenset({_MODEL, "space_app/__main__.py"})
_DECIDES_VECTORS = ("id", "revision", "backend", "precision", "query_instruction",
                    "document_instruction", "max_length")  # fmt: skip
_LARGEST_DIFF = 200_000
_ON_THE_HUB = "  (changed on the Hub since the last release)"
_SIGNS = {"add": "+", "change": "~", "remove": "-"}

Kind = Literal["add", "change", "remove"]
Field = Literal["visibility", "hardware", "sleep time", "variable", "secret"]


@dataclass(frozen=True)
class FileChange:
    """A file that differs. `drift`: it was changed on the Hub since the last release."""

    path: str
    kind: Kind
    drift: bool
    diff: str = ""


@dataclass(frozen=True)
class SettingChange:
    """A setting that differs; `name` is a variable's or a secret's. A secret shows no value.

    `drift`: it was changed on the Hub since the last release.
    """

    field: Field
    kind: Kind
    name: str = ""
    before: str | None = None
    after: str | None = None
    drift: bool = False


@dataclass(frozen=True)
class Wanted:
    """What a Space shall be: its files by git blob id, what reads one of them, and its settings.

    A setting that is None is left as it is; `sleep_time` also where the hardware decides it.
    """

    files: Mapping[str, str]
    content: Callable[[str], bytes] = field(repr=False)
    visibility: Visibility | None = None
    hardware: str | None = None
    sleep_time: int | None = None
    variables: Mapping[str, str] | None = None
    secrets: Mapping[str, str] | None = field(default=None, repr=False)
    suspects: tuple[Suspect, ...] = ()


@dataclass(frozen=True)
class Live:
    """A Space as the Hub shows it now; `secrets` is when each was set."""

    space: SpaceState
    runtime: Runtime
    files: Mapping[str, str]
    variables: Mapping[str, str]
    secrets: Mapping[str, str | None]
    releases: Releases


@dataclass(frozen=True)
class Plan:
    """What a deploy would do. `live` is None where the Space would be created.

    `suspects` are places that look like a secret, among those that it would publish.

    `vectors` are the keys of the model that change: vectors that were stored before can then no
    longer be compared. Costs are dollars for a month without sleep, None where the Hub does not
    tell a price. `wake`: it does not run now. `unproven`: its newest commit is no release;
    `drift`: names of settings that were changed on the Hub since the last release; `foreign`: this
    toolkit did not make it, so that `ops deploy` refuses unless told otherwise.
    """

    repo_id: str
    wanted: Wanted = field(repr=False)
    live: Live | None = field(repr=False)
    files: tuple[FileChange, ...]
    settings: tuple[SettingChange, ...]
    vectors: tuple[str, ...]
    cost_before: float | None
    cost_after: float | None
    wake: bool
    unproven: bool
    drift: tuple[str, ...] = ()
    foreign: bool = False
    suspects: tuple[Suspect, ...] = ()

    def data(self) -> dict[str, Any]:
        """As JSON has it."""
        data = {key: value for key, value in vars(self).items() if key not in ("live", "wanted")}
        return {
            **data,
            "files": [asdict(change) for change in self.files],
            "settings": [asdict(change) for change in self.settings],
            "suspects": [asdict(suspect) for suspect in self.suspects],
            "create": self.live is None,
            "commit": self.live.space.commit if self.live is not None else None,
            "changes": bool(self),
        }

    def __bool__(self) -> bool:
        return bool(
            self.live is None
            or self.files
            or self.settings
            or self.wake
            or self.unproven
            or self.drift
        )


def of_config(config: Config, tree: Tree, secrets: Mapping[str, str]) -> Wanted:
    """What space.toml wants; `tree` is rendered from it, `secrets` are the values it refers to."""
    space = config.space
    suspects = published(config, tree)
    for suspect in suspects:
        # A plan shows values and lines.
        hide(suspect.line_of(config, tree), suspected=True)
    return Wanted(
        files=blob_ids(tree),
        content=tree.__getitem__,
        visibility=space.visibility,
        hardware=space.hardware,
        sleep_time=space.sleep_time,
        variables=config.variables,
        secrets=secrets,
        suspects=suspects,
    )


def of_release(hub: Hub, repo_id: str, release: Release) -> Wanted:
    """What the Space was at a release: its files, and its settings as far as there is a record.

    Secrets are left as they are: their values of then are not known.
    """
    files = {
        path: blob_id
        for path, blob_id in hub.files(repo_id, release.commit).items()
        if path not in _MADE_BY_THE_HUB
    }

    def content(path: str) -> bytes:
        return hub.read_file(repo_id, path, release.commit)

    if release.record is None:
        return Wanted(files, content)
    then = release.record.settings
    sleep_time = None if then.hardware == FREE_HARDWARE else then.sleep_time
    return Wanted(files, content, then.visibility, then.hardware, sleep_time, then.variables)


def is_ours(files: Collection[str]) -> bool:
    """Whether a Space of these files was made by this toolkit, or filled by nobody yet."""
    return set(files) <= OF_A_NEW_SPACE or set(files) >= _OF_OURS


def look(hub: Hub, repo_id: str) -> Live | None:
    """The Space on the Hub; None when there is none that this token may see."""
    space = hub.space(repo_id)
    if space is None:
        return None
    readers = Readers()
    runtime = readers.submit(hub.runtime, repo_id)
    files = readers.submit(hub.files, repo_id, space.commit)
    variables = readers.submit(hub.variables, repo_id)
    secrets = readers.submit(hub.secret_times, repo_id)
    found = readers.submit(releases.read, hub, repo_id)
    return Live(
        space,
        runtime.result(),
        files.result(),
        variables.result(),
        secrets.result(),
        found.result(),
    )


def make_plan(
    hub: Hub, repo_id: str, wanted: Wanted, written: Written, *, diffs: bool = True
) -> Plan:
    """Compare; with `diffs`, what changes in each text is fetched and shown too."""
    live = look(hub, repo_id)
    prices = hub.flavours()
    if live is None:
        return Plan(
            repo_id, wanted, None, _all_new(wanted), tuple(_first_settings(wanted)), (),
            None, _monthly(prices.get(wanted.hardware or "")), wake=False, unproven=True,
            suspects=wanted.suspects,
        )  # fmt: skip
    now = live.runtime.hardware or ""
    last = live.releases.last
    drift = _drift(live)
    files = tuple(_files(hub, live, wanted))
    settings = tuple(_settings(live, wanted, written))
    return Plan(
        repo_id=repo_id,
        wanted=wanted,
        live=live,
        files=_with_diffs(hub, live, wanted, files) if diffs else files,
        settings=tuple(
            replace(change, drift=(change.field, change.name) in drift) for change in settings
        ),
        vectors=_vectors(hub, live, wanted),
        cost_before=_monthly(prices.get(now)),
        cost_after=_monthly(prices.get(wanted.hardware or now)),
        wake=live.runtime.stage in IDLE,
        unproven=last is None or last.commit != live.space.commit,
        drift=tuple(sorted(f"{kind} {name}".rstrip() for kind, name in drift)),
        foreign=not (is_ours(live.files.keys()) or live.releases.recorded),
        suspects=_newly_published(wanted.suspects, files, settings),
    )


def _newly_published(
    suspects: tuple[Suspect, ...],
    files: tuple[FileChange, ...],
    settings: tuple[SettingChange, ...],
) -> tuple[Suspect, ...]:
    """Those in what changes; all of them where more people are to see the Space."""
    changed = {file.path for file in files} | {f"{s.field}s.{s.name}" for s in settings}
    if any(change.field == "visibility" for change in settings):
        return suspects
    return tuple(suspect for suspect in suspects if suspect.path in changed)


def described(change: SettingChange) -> str:
    """One line for people; a secret's value is never in it."""
    what = f"{change.field} {change.name}".rstrip()
    if change.field == "secret":
        if change.kind == "change":
            return f"{what}: written again ({change.before})"
        return f"{what}: {'added' if change.kind == 'add' else 'removed'}"
    if change.kind == "remove":
        return f"{what}: removed (was {printable(change.before or '')})"
    before = "" if change.before is None else f"{printable(change.before)} -> "
    return f"{what}: {before}{printable(change.after or '')}"


def printable(text: str) -> str:
    """On one line, and nothing in it that a terminal would obey."""
    return text if text.isprintable() else json.dumps(text)


def lines(plan: Plan) -> Iterator[str]:
    """The plan for people, without the diffs."""
    if plan.live is None:
        yield f"{plan.repo_id} is not there yet and will be created."
    if not plan:
        yield f"Nothing to do: {plan.repo_id} is what space.toml says, and proven."
        return
    for change in plan.settings:
        yield f"{_SIGNS[change.kind]} {described(change)}{_ON_THE_HUB if change.drift else ''}"
    shown = plan.files if plan.live is not None else ()
    for file in shown:
        yield f"{_SIGNS[file.kind]} {printable(file.path)}{_ON_THE_HUB if file.drift else ''}"
    if plan.live is None:
        yield f"+ {len(plan.files)} files"
    yield from _whole(plan)


def _whole(plan: Plan) -> Iterator[str]:
    """What is to say of the Space as a whole."""
    if plan.foreign:
        yield (
            "! it was not made by embedding-space: only ops deploy --adopt replaces its files, "
            "and all of them"
        )
    for suspect in plan.suspects:
        looks = "looks like" if suspect.certain else "might be"
        yield f"! {looks} a secret, and would be published: {suspect}"
    if plan.wake and plan.live is not None:
        yield f"~ it is {plan.live.runtime.stage} and will be started"
    if plan.unproven and plan.live is not None and not plan.files:
        yield "~ its newest commit is not proven yet"
    if plan.drift and not plan.settings:
        yield f"~ changed on the Hub since the last release, not proven: {', '.join(plan.drift)}"
    if plan.vectors:
        yield (
            f"! vectors change ({', '.join(plan.vectors)}): texts that were embedded before have "
            "to be embedded again"
        )
    if plan.cost_before != plan.cost_after and plan.cost_after is not None:
        before = "" if plan.cost_before is None else f"${plan.cost_before:.2f} -> "
        yield f"cost: {before}${plan.cost_after:.2f} a month when it never sleeps"


def markdown(plan: Plan) -> str:
    """The plan as a comment of a pull request."""
    body = "\n".join(lines(plan))
    diffs = "".join(file.diff for file in plan.files)
    # Outside of a code block, a name could be a link, a picture or somebody's mention.
    name = re.sub(r"[^\w./-]", "?", plan.repo_id)
    parts = [f"### Plan for {name}", _fenced(f"{body}\n")]
    if diffs:
        parts.append(f"<details><summary>Files</summary>\n\n{_fenced(diffs)}\n\n</details>")
    return "\n\n".join(parts) + "\n"


def _fenced(text: str) -> str:
    """A code block that no line of the text ends (CommonMark, 4.5)."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}diff\n{text}{fence}"


def _monthly(per_hour: float | None) -> float | None:
    return None if per_hour is None else per_hour * HOURS_A_MONTH


def _all_new(wanted: Wanted) -> tuple[FileChange, ...]:
    return tuple(FileChange(path, "add", drift=False) for path in wanted.files)


def _first_settings(wanted: Wanted) -> Iterator[SettingChange]:
    yield SettingChange("visibility", "add", after=wanted.visibility)
    yield SettingChange("hardware", "add", after=wanted.hardware)
    if wanted.sleep_time is not None:
        yield SettingChange("sleep time", "add", after=str(wanted.sleep_time))
    for name, value in (wanted.variables or {}).items():
        yield SettingChange("variable", "add", name, after=value)
    for name in wanted.secrets or {}:
        yield SettingChange("secret", "add", name)


def _settings(live: Live, wanted: Wanted, written: Written) -> Iterator[SettingChange]:
    """The order is that in which they are applied: what is removed makes room for its name."""
    yield from _space_settings(live, wanted, written)
    variables = live.variables if wanted.variables is None else wanted.variables
    secrets = wanted.secrets
    for name in sorted(live.variables.keys() - variables.keys()):
        yield SettingChange("variable", "remove", name, before=live.variables[name])
    for name in sorted(live.secrets.keys() - secrets.keys()) if secrets is not None else ():
        yield SettingChange("secret", "remove", name)
    for name, value in variables.items():
        before = live.variables.get(name)
        if before is None:
            yield SettingChange("variable", "add", name, after=value)
        elif before != value:
            yield SettingChange("variable", "change", name, before=before, after=value)
    yield from _secrets(live, secrets or {}, written)


def _secrets(live: Live, secrets: Mapping[str, str], written: Written) -> Iterator[SettingChange]:
    verdicts = written.compare(secrets, live.secrets)
    for name in secrets:
        if name not in live.secrets:
            yield SettingChange("secret", "add", name)
        elif verdicts[name] != "same":
            known = "changed" if verdicts[name] == "changed" else "not known on this machine"
            yield SettingChange("secret", "change", name, before=known)


def _space_settings(live: Live, wanted: Wanted, written: Written) -> Iterator[SettingChange]:
    runtime = live.runtime
    if wanted.visibility not in (None, shown := written.visibility_of(private=live.space.private)):
        yield SettingChange("visibility", "change", before=shown, after=wanted.visibility)
    if None not in (runtime.hardware, wanted.hardware) and runtime.hardware != wanted.hardware:
        yield SettingChange("hardware", "change", before=runtime.hardware, after=wanted.hardware)
    if wanted.sleep_time not in (None, runtime.sleep_time):
        before = None if runtime.sleep_time is None else str(runtime.sleep_time)
        yield SettingChange("sleep time", "change", before=before, after=str(wanted.sleep_time))


def _drift(live: Live) -> frozenset[tuple[Field, str]]:
    """Kind and name of each setting that is not as it was at the last release."""
    record = live.releases.last.record if live.releases.last is not None else None
    if record is None:
        return frozenset()
    then, runtime = record.settings, live.runtime
    found: set[tuple[Field, str]] = set()
    if live.space.private != (then.visibility == "private"):
        found.add(("visibility", ""))
    # A Space that does not run may be without them.
    if runtime.hardware not in (None, then.hardware):
        found.add(("hardware", ""))
    if runtime.sleep_time not in (None, then.sleep_time):
        found.add(("sleep time", ""))
    found |= {("variable", name) for name in _differing(live.variables, then.variables)}
    found |= {("secret", name) for name in _differing(live.secrets, then.secrets)}
    return frozenset(found)


def _differing(now: Mapping[str, str | None], then: Mapping[str, str | None]) -> set[str]:
    return {name for name, _ in now.items() ^ then.items()}


def _files(hub: Hub, live: Live, wanted: Wanted) -> Iterator[FileChange]:
    released = _released_files(hub, live)
    gone = sorted(live.files.keys() - wanted.files.keys() - _MADE_BY_THE_HUB)
    differing = sorted(p for p, blob_id in wanted.files.items() if live.files.get(p) != blob_id)
    for path in (*differing, *gone):
        kind: Kind = "remove" if path in gone else "change" if path in live.files else "add"
        drift = released is not None and live.files.get(path) != released.get(path)
        yield FileChange(path, kind, drift=drift)


def _with_diffs(
    hub: Hub, live: Live, wanted: Wanted, changes: tuple[FileChange, ...]
) -> tuple[FileChange, ...]:
    """The same changes with what they change; several files are read at a time."""
    repo_id, commit = live.space.repo_id, live.space.commit

    def with_diff(change: FileChange) -> FileChange:
        path = change.path
        before = b"" if change.kind == "add" else hub.read_file(repo_id, path, commit)
        after = b"" if change.kind == "remove" else wanted.content(path)
        return replace(change, diff=_diff(path, before, after))

    readers = Readers()
    shown = [readers.submit(with_diff, change) for change in changes]
    return tuple(change.result() for change in shown)


def _released_files(hub: Hub, live: Live) -> Mapping[str, str] | None:
    """The files of the newest release; None before the first."""
    last = live.releases.last
    if last is None or last.commit == live.space.commit:
        return live.files if last is not None else None
    return hub.files(live.space.repo_id, last.commit)


def _diff(path: str, before: bytes, after: bytes) -> str:
    """A unified diff; a line instead of one for what is no text, or long."""
    if b"\0" in before + after or len(before) + len(after) > _LARGEST_DIFF:
        return f"{len(before)} -> {len(after)} bytes\n"
    lines = difflib.unified_diff(
        before.decode(errors="replace").splitlines(keepends=True),
        after.decode(errors="replace").splitlines(keepends=True),
        f"a/{path}" if before else "/dev/null",
        f"b/{path}" if after else "/dev/null",
    )
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def _vectors(hub: Hub, live: Live, wanted: Wanted) -> tuple[str, ...]:
    """The keys of model.toml that decide vectors and differ."""
    if live.files.get(_MODEL) in (None, wanted.files.get(_MODEL)):
        return ()
    before, after = _live_model(hub, live), model_of(wanted)
    # An instruction that is left out is the model's own, and 0.1 wrote "" for it. Most models have
    # none; of the others the proof finds that their vectors have changed.
    return tuple(
        key for key in _DECIDES_VECTORS if (before.get(key) or "") != (after.get(key) or "")
    )


def _live_model(hub: Hub, live: Live) -> dict[str, Any]:
    """model.toml as it is, or, where somebody has damaged it, as it was at the last release."""
    last = live.releases.last
    for commit in (live.space.commit, *([last.commit] if last is not None else [])):
        text = hub.find_file(live.space.repo_id, _MODEL, commit)
        if text is not None and (found := _parsed(text)) is not None:
            return found
    return {}


def model_of(wanted: Wanted) -> dict[str, Any]:
    """What its model.toml says; nothing where it has none that can be read."""
    return (_parsed(wanted.content(_MODEL)) if _MODEL in wanted.files else None) or {}


def _parsed(text: bytes) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text.decode())
    except ValueError:
        return None
