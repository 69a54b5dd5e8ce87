"""`ops plan`: what a deploy would change, by comparing space.toml with the Space on the Hub.

Looks only. `ops deploy` carries out exactly this.
"""

from __future__ import annotations

import difflib
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ops.render import blob_ids

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ops.adapters.hf_hub import Hub, Runtime, SpaceState
    from ops.config import Config
    from ops.render import Tree
    from ops.written import Written

HOURS_A_MONTH = 730
_RELEASE = "release-"
_MADE_BY_THE_HUB = frozenset({".gitattributes"})
_IDLE = frozenset({"PAUSED", "SLEEPING", "STOPPED"})
_DECIDES_VECTORS = ("id", "revision", "backend", "precision", "query_instruction",
                    "document_instruction", "max_length")  # fmt: skip
_READERS = 8
_LARGEST_DIFF = 200_000
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
    """A setting that differs; `name` is a variable's or a secret's. A secret shows no value."""

    field: Field
    kind: Kind
    name: str = ""
    before: str | None = None
    after: str | None = None


@dataclass(frozen=True)
class Live:
    """A Space as the Hub shows it now; `secrets` is when each was set, `tags` their commits."""

    space: SpaceState
    runtime: Runtime
    files: Mapping[str, str]
    variables: Mapping[str, str]
    secrets: Mapping[str, str | None]
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Plan:
    """What a deploy would do. `live` is None where the Space would be created.

    `vectors` are the keys of the model that change: vectors that were stored before can then no
    longer be compared. Costs are dollars for a month without sleep, None where the Hub does not
    tell a price. `wake`: it does not run now. `unproven`: its newest commit is no release.
    """

    repo_id: str
    live: Live | None = field(repr=False)
    files: tuple[FileChange, ...]
    settings: tuple[SettingChange, ...]
    vectors: tuple[str, ...]
    cost_before: float | None
    cost_after: float | None
    wake: bool
    unproven: bool

    def data(self) -> dict[str, Any]:
        """As JSON has it."""
        data = {key: value for key, value in vars(self).items() if key != "live"}
        return {
            **data,
            "files": [asdict(change) for change in self.files],
            "settings": [asdict(change) for change in self.settings],
            "create": self.live is None,
            "commit": self.live.space.commit if self.live is not None else None,
            "changes": bool(self),
        }

    def __bool__(self) -> bool:
        return bool(self.live is None or self.files or self.settings or self.wake or self.unproven)


def look(hub: Hub, repo_id: str) -> Live | None:
    """The Space on the Hub; None when there is none that this token may see."""
    space = hub.space(repo_id)
    if space is None:
        return None
    return Live(
        space=space,
        runtime=hub.runtime(repo_id),
        files=hub.files(repo_id, space.commit),
        variables=hub.variables(repo_id),
        secrets=hub.secret_times(repo_id),
        tags=hub.tags(repo_id),
    )


def make_plan(
    hub: Hub,
    repo_id: str,
    config: Config,
    tree: Tree,
    secrets: Mapping[str, str],
    written: Written,
    *,
    diffs: bool = True,
) -> Plan:
    """Compare; with `diffs`, what changes in each text is fetched and shown too."""
    live = look(hub, repo_id)
    prices = hub.flavours()
    wanted = config.space.hardware
    if live is None:
        return Plan(
            repo_id, None, _all_new(tree), tuple(_first_settings(config, secrets)), (),
            None, _monthly(prices.get(wanted)), wake=False, unproven=True,
        )  # fmt: skip
    files = tuple(_files(hub, live, tree, diffs=diffs))
    now = live.runtime.hardware
    return Plan(
        repo_id=repo_id,
        live=live,
        files=files,
        settings=tuple(_settings(live, config, secrets, written)),
        vectors=_vectors(hub, live, tree),
        cost_before=_monthly(prices.get(now)) if now else None,
        cost_after=_monthly(prices.get(wanted)),
        wake=live.runtime.stage in _IDLE,
        unproven=last_release_commit(live.tags) != live.space.commit,
    )


def described(change: SettingChange) -> str:
    """One line for people; a secret's value is never in it."""
    what = f"{change.field} {change.name}".rstrip()
    if change.field == "secret":
        if change.kind == "change":
            return f"{what}: written again ({change.before})"
        return f"{what}: {'added' if change.kind == 'add' else 'removed'}"
    if change.kind == "remove":
        return f"{what}: removed (was {change.before})"
    before = "" if change.before is None else f"{change.before} -> "
    return f"{what}: {before}{change.after}"


def lines(plan: Plan) -> Iterator[str]:
    """The plan for people, without the diffs."""
    if plan.live is None:
        yield f"{plan.repo_id} is not there yet and will be created."
    if not plan:
        yield f"Nothing to do: {plan.repo_id} is what space.toml says, and proven."
        return
    for change in plan.settings:
        yield f"{_SIGNS[change.kind]} {described(change)}"
    shown = plan.files if plan.live is not None else ()
    for file in shown:
        drift = "  (changed on the Hub since the last release)" if file.drift else ""
        yield f"{_SIGNS[file.kind]} {file.path}{drift}"
    if plan.live is None:
        yield f"+ {len(plan.files)} files"
    if plan.wake and plan.live is not None:
        yield f"~ it is {plan.live.runtime.stage} and will be started"
    if plan.unproven and plan.live is not None and not plan.files:
        yield "~ its newest commit is not proven yet"
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
    parts = [f"### Plan for {plan.repo_id}", f"```diff\n{body}\n```"]
    if diffs:
        parts.append(f"<details><summary>Files</summary>\n\n````diff\n{diffs}````\n\n</details>")
    return "\n\n".join(parts) + "\n"


def releases(tags: Mapping[str, str]) -> list[str]:
    """Names of the tags that are releases, oldest first."""
    numbers = [name.removeprefix(_RELEASE) for name in tags if name.startswith(_RELEASE)]
    return [f"{_RELEASE}{number}" for number in sorted(int(n) for n in numbers if n.isdecimal())]


def last_release_commit(tags: Mapping[str, str]) -> str | None:
    """The commit of the newest release."""
    found = releases(tags)
    return tags[found[-1]] if found else None


def _monthly(per_hour: float | None) -> float | None:
    return None if per_hour is None else per_hour * HOURS_A_MONTH


def _all_new(tree: Tree) -> tuple[FileChange, ...]:
    return tuple(FileChange(path, "add", drift=False) for path in tree)


def _first_settings(config: Config, secrets: Mapping[str, str]) -> Iterator[SettingChange]:
    space = config.space
    yield SettingChange("visibility", "add", after=space.visibility)
    yield SettingChange("hardware", "add", after=space.hardware)
    if space.sleep_time is not None:
        yield SettingChange("sleep time", "add", after=str(space.sleep_time))
    for name, value in config.variables.items():
        yield SettingChange("variable", "add", name, after=value)
    for name in secrets:
        yield SettingChange("secret", "add", name)


def _settings(
    live: Live, config: Config, secrets: Mapping[str, str], written: Written
) -> Iterator[SettingChange]:
    yield from _space_settings(live, config, written)
    variables = config.variables
    for name in sorted(live.variables.keys() - variables.keys()):
        yield SettingChange("variable", "remove", name, before=live.variables[name])
    for name in sorted(live.secrets.keys() - secrets.keys()):
        yield SettingChange("secret", "remove", name)
    for name, value in variables.items():
        before = live.variables.get(name)
        if before is None:
            yield SettingChange("variable", "add", name, after=value)
        elif before != value:
            yield SettingChange("variable", "change", name, before=before, after=value)
    verdicts = written.compare(secrets, live.secrets)
    for name in secrets:
        if name not in live.secrets:
            yield SettingChange("secret", "add", name)
        elif verdicts[name] != "same":
            known = "changed" if verdicts[name] == "changed" else "not known on this machine"
            yield SettingChange("secret", "change", name, before=known)


def _space_settings(live: Live, config: Config, written: Written) -> Iterator[SettingChange]:
    space, runtime = config.space, live.runtime
    if (shown := _visibility(live, written)) != space.visibility:
        yield SettingChange("visibility", "change", before=shown, after=space.visibility)
    if runtime.hardware not in (None, space.hardware):
        yield SettingChange("hardware", "change", before=runtime.hardware, after=space.hardware)
    if space.sleep_time not in (None, runtime.sleep_time):
        before = None if runtime.sleep_time is None else str(runtime.sleep_time)
        yield SettingChange("sleep time", "change", before=before, after=str(space.sleep_time))


def _visibility(live: Live, written: Written) -> str:
    """What the Hub tells, and where it tells only "not private", what this machine set last."""
    if live.space.private:
        return "private"
    last = written.visibility()
    return last if last in ("public", "protected") else "public or protected"


def _files(hub: Hub, live: Live, tree: Tree, *, diffs: bool) -> Iterator[FileChange]:
    ids = blob_ids(tree)
    released = _released_files(hub, live)
    gone = live.files.keys() - tree.keys() - _MADE_BY_THE_HUB
    differing = sorted(path for path in tree if live.files.get(path) != ids[path])
    before: Mapping[str, bytes] = {}
    if diffs:
        before = _contents(hub, live, [p for p in (*differing, *sorted(gone)) if p in live.files])
    for path in (*differing, *sorted(gone)):
        kind: Kind = "remove" if path in gone else "change" if path in live.files else "add"
        drift = released is not None and live.files.get(path) != released.get(path)
        yield FileChange(
            path,
            kind,
            drift,
            _diff(path, before.get(path, b""), tree.get(path, b"")) if diffs else "",
        )


def _released_files(hub: Hub, live: Live) -> Mapping[str, str] | None:
    """The files of the newest release; None before the first."""
    commit = last_release_commit(live.tags)
    if commit is None or commit == live.space.commit:
        return live.files if commit else None
    return hub.files(live.space.repo_id, commit)


def _contents(hub: Hub, live: Live, paths: list[str]) -> dict[str, bytes]:
    """The live files' contents, several read at a time."""
    repo_id, commit = live.space.repo_id, live.space.commit
    with ThreadPoolExecutor(_READERS) as readers:
        found = readers.map(lambda path: hub.read_file(repo_id, path, commit), paths)
        return dict(zip(paths, found, strict=True))


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


def _vectors(hub: Hub, live: Live, tree: Tree) -> tuple[str, ...]:
    """The keys of model.toml that decide vectors and differ."""
    path = "model.toml"
    if path not in live.files or live.files[path] == blob_ids({path: tree[path]})[path]:
        return ()
    before = tomllib.loads(hub.read_file(live.space.repo_id, path, live.space.commit).decode())
    after = tomllib.loads(tree[path].decode())
    return tuple(key for key in _DECIDES_VECTORS if before.get(key) != after.get(key))
