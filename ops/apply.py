"""Carries out a plan: settings, one commit, the wait, the proof, the release.

What does not work is taken back: the last release is put in its place, and proven as well. Whatever
else ends it, what is left on the Hub is said, and doing it again goes on from there.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from ops import __version__, canaries, releases
from ops.answering import still_running
from ops.config import FREE_HARDWARE
from ops.errors import (
    BuildFailed,
    Conflict,
    NotAllowed,
    OpsError,
    SpaceConfigError,
    TimedOut,
    Unhealthy,
)
from ops.plan import SettingChange, described, make_plan, model_of, of_release
from ops.probe import Access
from ops.smoke_test import smoke_test_url
from ops.watch import Patience, raise_if_ended, raise_if_overtaken, wait_until_running

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ops.adapters.hf_hub import Hub, SpaceState
    from ops.config import Visibility
    from ops.plan import Plan
    from ops.releases import Release
    from ops.runner import Log
    from ops.smoke_test import OnCheck, Report
    from ops.watch import Show
    from ops.written import Written

DOES_NOT_WORK = (BuildFailed, SpaceConfigError, Unhealthy, TimedOut)
"""What is taken back. Anything else (no network, a conflict, a revoked token) says nothing about
the version."""


_LOOK = "Read its log with `ops logs`, then run `ops deploy` again."


class Commit(Protocol):
    """Makes one commit on top of `parent`, the newest; returns its id."""

    def __call__(
        self,
        repo_id: str,
        *,
        add: Mapping[str, bytes],
        delete: Sequence[str],
        title: str,
        description: str,
        parent: str,
    ) -> str:
        """Raises Conflict when `parent` is not the newest any more."""
        ...


@dataclass(frozen=True)
class Job:
    """How to carry a plan out.

    `title` is the commit's, `restores` the number of the release that this is again. With
    `any_vectors`, vectors may differ from the last release's although the plan does not say so.
    """

    title: str
    written: Written
    commit: Commit
    toolkit_commit: str | None = None
    app_key: str | None = field(default=None, repr=False)
    patience: Patience = field(default_factory=Patience)
    restores: int | None = None
    any_vectors: bool = False


@dataclass(frozen=True)
class Applied:
    """A proven Space. `release` is its tag; `pushed` is False when the Hub had it all already.

    `report` is None when there was nothing to do.
    """

    repo_id: str
    url: str
    commit: str
    release: str
    pushed: bool
    report: Report | None


def carry_out(
    hub: Hub, plan: Plan, job: Job, *, say: Log, on_check: OnCheck, show: Show | None = None
) -> Applied:
    """Make the Space what the plan wants, and prove it; `show` is where the wait is seen.

    Raises:
        BuildFailed, SpaceConfigError, Unhealthy, TimedOut: it does not work; the last release was
            put back where there is one, and the error's aftermath says so.
        OpsError: something else came between; its aftermath says what is left on the Hub.
    """
    run = _Run(hub, plan, job, say, on_check, show)
    try:
        return run.through()
    except DOES_NOT_WORK as error:
        try:
            error.aftermath = run.taken_back()
        except KeyboardInterrupt:
            say(f"Interrupted while going back. {run.state()}")
            raise
        raise
    except OpsError as error:
        error.aftermath = error.aftermath or run.state()
        raise
    except KeyboardInterrupt:
        say(f"Interrupted. {run.state()}")
        raise


_GOES_ON = "`ops plan` shows what is left, `ops deploy` goes on from there."


class _Run:
    """One plan being carried out; knows how far it is."""

    def __init__(
        self, hub: Hub, plan: Plan, job: Job, say: Log, on_check: OnCheck, show: Show | None
    ):
        self._hub = hub
        self._plan = plan
        self._job = job
        self._say = say
        self._on_check = on_check
        self._show = show
        self._done: list[str] = []
        self._in_flight: str | None = None
        self._commit: str | None = None
        self._proven = False
        self._back: _Run | None = None

    def through(self) -> Applied:
        """All steps."""
        plan = self._plan
        space = plan.live.space if plan.live is not None else self._created()
        if plan.live is not None:
            self._apply_settings()
        self._commit = commit = self._pushed(space)
        self._in_flight = None
        self._wait(commit)
        report, vectors = self._prove(space, commit)
        self._proven = True
        release = self._recorded(report, vectors, commit)
        return Applied(
            plan.repo_id, space.url, commit, release.name, commit != self._base(), report
        )

    def state(self) -> str:
        """What is on the Hub now, for whoever has to go on."""
        parts = self.left()
        if not parts:
            return "Nothing was changed on the Hub."
        return " ".join([*parts, _GOES_ON])

    def left(self) -> list[str]:
        """The same in sentences; none when nothing was changed."""
        parts = []
        if self._done:
            parts.append(f"Done on the Hub: {'; '.join(self._done)}.")
        if self._in_flight:
            parts.append(f"Whether this was done is not known: {self._in_flight}.")
        if self._commit is not None and (self._commit != self._base() or self._plan.unproven):
            found = "works, but is not recorded as a release" if self._proven else "is not proven"
            parts.append(f"Commit {self._commit[:8]} is on the Hub and {found}.")
        if self._back is not None:
            parts += self._back.left()
        return parts

    def taken_back(self) -> str:
        """Put the last release in the place of what does not work; returns how that went."""
        live = self._plan.live
        last = live.releases.last if live is not None else None
        if last is None:
            return f"There is no earlier release to go back to. {self.state()}"
        plan = self._plan
        if not (plan.files or plan.settings or plan.unproven or plan.drift):
            return f"Nothing had been changed: {last.name} itself does not work any more."
        self._say(f"It does not work: going back to {last.name}")
        try:
            again = self._gone_back(last)
        except OpsError as second:
            return f"Going back to {last.name} failed too: {second.message} {self.state()}"
        lost = [c.name for c in self._plan.settings if c.field == "secret" and c.kind != "add"]
        said = f"{self._plan.repo_id} is {last.name} again, proven as {again.release}."
        if lost:
            said += f" Secrets that were overwritten and cannot be put back: {', '.join(lost)}."
        if last.record is None:
            said += " Its settings of then are not known: those named above stay changed."
        return said

    def _gone_back(self, last: Release) -> Applied:
        hub, repo_id, job = self._hub, self._plan.repo_id, self._job
        plan = make_plan(hub, repo_id, of_release(hub, repo_id, last), job.written, diffs=False)
        if plan.live is None or plan.live.space.commit != self._commit:
            raise OpsError(
                "somebody else changed it meanwhile, which is left as it is.",
                next_step="ops plan shows their change.",
            )
        kept = last.record.settings.secrets if last.record is not None else {}
        added = tuple(
            SettingChange("secret", "remove", change.name)
            for change in self._plan.settings
            if (change.field, change.kind) == ("secret", "add") and change.name not in kept
        )
        plan = replace(plan, settings=(*added, *plan.settings))
        back = replace(
            job,
            title=f"Go back to {last.name}",
            restores=last.restores or last.number,
            any_vectors=True,
        )
        self._back = _Run(hub, plan, back, self._say, self._on_check, self._show)
        return self._back.through()

    def _base(self) -> str | None:
        return self._plan.live.space.commit if self._plan.live is not None else None

    def _created(self) -> SpaceState:
        repo_id, wanted = self._plan.repo_id, self._plan.wanted
        visibility = wanted.visibility or "private"
        self._begin(f"the {visibility} Space {repo_id} created")
        self._say(f"Creating the {visibility} Space {repo_id}")
        self._hub.create_space(
            repo_id,
            visibility=visibility,
            hardware=wanted.hardware or FREE_HARDWARE,
            sleep_time=wanted.sleep_time,
            secrets=wanted.secrets or {},
            variables=wanted.variables or {},
        )
        self._end()
        created = self._hub.space(repo_id)
        if created is None:
            raise OpsError(
                f"{repo_id} was created, but the Hub does not show it.",
                next_step="Wait a moment, then run ops deploy again.",
            )
        return created

    def _apply_settings(self) -> None:
        """Bring the settings of an existing Space in line, one after the other."""
        for change in self._plan.settings:
            self._say(f"Setting {described(change)}")
            self._begin(f"{change.field} {change.name}".rstrip())
            _apply(self._hub, self._plan, change)
            self._end()

    def _pushed(self, space: SpaceState) -> str:
        """Commit what the plan names, all at once, on top of what it looked at."""
        plan = self._plan
        delete = [change.path for change in plan.files if change.kind == "remove"]
        add = {c.path: plan.wanted.content(c.path) for c in plan.files if c.kind != "remove"}
        if not plan.files:
            self._say(f"Its files are up to date at {space.commit[:8]}")
            return space.commit
        self._begin("a commit with its files")
        try:
            commit = self._job.commit(
                plan.repo_id,
                add=add,
                delete=delete,
                title=self._job.title,
                description=f"Toolkit commit: {self._job.toolkit_commit or 'unknown'}",
                parent=space.commit,
            )
        except Conflict:
            self._in_flight = None  # nothing was written, for certain
            raise
        self._say(f"Pushed {commit[:8]}; files: {len(add)} written, {len(delete)} removed")
        return commit

    def _wait(self, commit: str) -> None:
        wait_until_running(
            self._hub,
            self._plan.repo_id,
            commit,
            say=self._say,
            patience=self._job.patience,
            show=self._show,
        )

    def _prove(
        self, space: SpaceState, commit: str, *, again: bool = True
    ) -> tuple[Report, canaries.Canaries]:
        """The checks; what became of the Space meanwhile goes before what they found.

        One that fell asleep or was started anew under them is proven `again`, when it is back.
        """
        try:
            return self._checked(space)
        except DOES_NOT_WORK:
            raise_if_overtaken(self._hub, space.repo_id, commit)
            runtime = self._hub.runtime(space.repo_id)
            if not (again and runtime.stage == "SLEEPING"):
                raise_if_ended(self._hub, space.repo_id, runtime)
            if runtime.stage == "RUNNING" or not again:
                raise
        self._say(f"It is {runtime.stage}: proving it again when it runs")
        self._wait(commit)
        return self._prove(space, commit, again=False)

    def _checked(self, space: SpaceState) -> tuple[Report, canaries.Canaries]:
        url = space.url
        self._say(f"Proving {url}")
        access = Access(
            hub_token=self._hub.token if self._visibility() == "private" else None,
            app_key=self._job.app_key,
        )
        try:
            report = smoke_test_url(
                url,
                access,
                on_check=self._on_check,
                still_running=still_running(self._hub, space, self._job.patience.poll),
            )
        except NotAllowed as error:
            if access.app_key is None:
                raise
            # The key is one of those that the Space was given, so it is the server that is wrong.
            raise Unhealthy(error.message, cause=error.cause, next_step=_LOOK) from error
        report.require_passed()
        vectors = canaries.take(url, access, report.info.fingerprint)
        self._compare(vectors)
        return report, vectors

    def _visibility(self) -> Visibility:
        """What it is now; the Hub tells only private or not, this machine what it set last."""
        live = self._plan.live
        if self._plan.wanted.visibility is not None or live is None:
            return self._plan.wanted.visibility or "private"
        return "private" if live.space.private else self._job.written.visibility() or "public"

    def _compare(self, vectors: canaries.Canaries) -> None:
        """Hold the vectors against the last release's."""
        live = self._plan.live
        last = live.releases.last if live is not None else None
        before = releases.canaries(self._hub, self._plan.repo_id) if last is not None else None
        if last is None or before is None:
            return
        agreement = vectors.agreement(before)
        if agreement >= canaries.SAME:
            self._say(f"Vectors are those of {last.name} (cosine at least {agreement:.3f})")
            return
        found = f"vectors differ from those of {last.name} (a cosine of {agreement:.3f})"
        if not (self._plan.vectors or self._job.any_vectors):
            raise Unhealthy(
                f"The {found}, although the model is the same.",
                cause="A library in the image, or the server itself, computes them otherwise now.",
                next_step="ops deploy --new-vectors takes them; texts that were embedded before "
                "have to be embedded again then.",
            )
        self._say(f"The {found}: texts that were embedded before have to be embedded again")

    def _recorded(self, report: Report, vectors: canaries.Canaries, commit: str) -> Release:
        """Make a proven commit the next release, unless nothing but a proof was missing."""
        hub, plan, job = self._hub, self._plan, self._job
        visibility = self._visibility()
        secrets = hub.secret_times(plan.repo_id)
        job.written.note(plan.wanted.secrets, secrets, visibility)
        found = releases.read(hub, plan.repo_id)
        last = found.last
        if last and last.commit == commit and last.record and not (plan.settings or plan.drift):
            return last
        runtime = hub.runtime(plan.repo_id)
        if runtime.commit not in (None, commit):  # it may have been theirs that answered
            raise_if_overtaken(hub, plan.repo_id, commit)
        model = model_of(plan.wanted)
        record = releases.Record(
            number=last.number + 1 if last is not None else 1,
            commit=commit,
            time=datetime.now(UTC).replace(microsecond=0),
            toolkit=__version__,
            toolkit_commit=job.toolkit_commit,
            model=str(model.get("id", report.info.model)),
            revision=str(model.get("revision", "unknown")),
            fingerprint=report.info.fingerprint,
            p50_ms=report.measured.p50_ms,
            settings=releases.Settings(
                visibility=visibility,
                hardware=runtime.hardware,
                sleep_time=runtime.sleep_time,
                variables=hub.variables(plan.repo_id),
                secrets=secrets,
            ),
            restores=job.restores,
        )
        return releases.keep(hub, plan.repo_id, record, vectors)

    def _begin(self, what: str) -> None:
        self._in_flight = what

    def _end(self) -> None:
        """What was begun is done; forgotten only afterwards, so that an interruption finds it."""
        if self._in_flight is not None:
            self._done.append(self._in_flight)
        self._in_flight = None


def _apply(hub: Hub, plan: Plan, change: SettingChange) -> None:
    wanted, repo_id = plan.wanted, plan.repo_id
    match change.field:
        case "visibility" if wanted.visibility is not None:
            hub.set_visibility(repo_id, wanted.visibility)
        case "hardware" if wanted.hardware is not None:
            hub.set_hardware(repo_id, wanted.hardware, wanted.sleep_time)
        case "sleep time" if wanted.sleep_time is not None:
            hub.set_sleep_time(repo_id, wanted.sleep_time)
        case "variable" if change.kind == "remove":
            hub.unset_variable(repo_id, change.name)
        case "variable" if change.after is not None:
            hub.set_variable(repo_id, change.name, change.after)
        case "secret" if change.kind == "remove":
            hub.unset_secret(repo_id, change.name)
        case "secret" if wanted.secrets is not None:
            hub.set_secret(repo_id, change.name, wanted.secrets[change.name])
