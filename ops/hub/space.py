"""The life of one Space: builds what was pushed, starts it, watches it, lets it sleep.

A thread of its own carries out orders; a newer order ends the work on an older one. The version
that serves goes on serving until the next one answers. Whether a Space is to run, to be paused or
to sleep is kept with its settings, so that it is so again after the Hub was ended in any way.
"""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from ops.errors import OpsError
from ops.hub.building import build
from ops.hub.card import Card, read_card
from ops.hub.errors import HubError
from ops.hub.log import SpaceLog
from ops.hub.runtime import Stage, State, sleep_time
from ops.hub.starting import StartFailed, environment, limits, wait_until_answering
from ops.hub.visits import Visits

if TYPE_CHECKING:
    from ops.hub.means import Means
    from ops.hub.store import Repo, Settings, Wish
    from ops.runner import Image, Running

_WATCH_EVERY = 0.5
_KILLED = 137
_WISHED: dict[Wish, Stage] = {"run": "BUILDING", "pause": "PAUSED", "sleep": "SLEEPING"}
_ON_THE_WAY = ("BUILDING", "APP_STARTING")


@dataclass(frozen=True)
class _Order:
    what: Literal["run", "stop", "close"]
    rebuild: bool = False


@dataclass(frozen=True)
class _Serving:
    """The version that visitors meet."""

    running: Running
    commit: str
    hardware: str


class _SupersededError(Exception):
    """A newer order has come."""


class _SpaceEnded(Exception):
    """Where a Space ended; not a fault of the Hub."""

    def __init__(self, stage: Stage, message: str | None = None):
        super().__init__(stage)
        self.stage = stage
        self.message = message


class Space:
    """One Space of the Hub; `host` is the origin of its proxy."""

    def __init__(self, repo: Repo, means: Means, *, host: str):
        self.repo = repo
        self.host = host
        self.build_log = SpaceLog()
        self.run_log = SpaceLog()
        self.visits = Visits()
        self._means = means
        self._stage: Stage = _WISHED[self._settings().wish]
        self._message: str | None = None
        self._woken = False
        self._answers_left: int | None = None
        self._built: tuple[str, Image] | None = None
        self._serving: _Serving | None = None
        self._retired: list[Running] = []
        self._orders: queue.Queue[_Order] = queue.Queue()
        self._lock = threading.RLock()
        self._thread = threading.Thread(target=self._live, name=f"space {repo.id}", daemon=True)
        self._thread.start()

    @property
    def state(self) -> State:
        """What it is doing now."""
        with self._lock:
            serving = self._serving
            return State(
                self._stage,
                serving.commit if serving is not None else None,
                serving.hardware if serving is not None else None,
                self._message,
            )

    @property
    def origin(self) -> str | None:
        """Where the app itself answers, None when nothing runs."""
        serving = self._serving
        return serving.running.url if serving is not None else None

    @property
    def is_waking(self) -> bool:
        """Whether a visitor who waits has a chance: it sleeps, or comes up for another one."""
        with self._lock:
            return self._stage == "SLEEPING" or (self._woken and self._stage in _ON_THE_WAY)

    def resume(self) -> None:
        """Be as it was when the Hub last ended."""
        if self._settings().wish == "run":
            self._run()

    def restart(self, *, rebuild: bool = False) -> None:
        """Bring the newest commit with the newest settings to run, also when paused or asleep.

        Raises:
            HubError: too many others of its owner run (403).
        """
        self._means.slots.check(self.repo)
        with self._lock:
            self._wish("run")
            self._run(rebuild=rebuild)

    def committed(self) -> None:
        """Main has moved: build it, unless paused. A paused Space stays so until it is restarted.

        What huggingface.co does with a push to a paused Space is not documented.
        """
        with self._lock:
            if self._settings().wish != "pause":
                self._wish("run")
                self._run()

    def changed(self) -> None:
        """Settings have changed: a Space that runs starts again, another one finds them later."""
        with self._lock:
            if self._settings().wish == "run":
                self._run()

    def wake(self) -> None:
        """A visitor has come to a sleeping Space; does nothing to any other one."""
        with self._lock:
            if self._stage != "SLEEPING":
                return
            self._wish("run")
            self._woken = True
            self._run()

    def pause(self) -> None:
        """Stop it until it is restarted."""
        with self._lock:
            self._wish("pause")
            self._retire("PAUSED")
            self._orders.put(_Order("stop"))

    def sleep(self) -> None:
        """Fall asleep as if nobody had come for long; does nothing to one that is paused."""
        with self._lock:
            if self._settings().wish == "run":
                self._wish("sleep")
                self._retire("SLEEPING")
                self._orders.put(_Order("stop"))

    def close(self) -> None:
        """End the work on it and the app; may be called again."""
        with self._lock:
            self._retire("DELETING")
            self._orders.put(_Order("close"))
        self._thread.join()

    def crashes(self) -> bool:
        """Before a visitor's request: whether it dies, as "crash" has let enough through."""
        with self._lock:
            if self._serving is None:
                return False
            if self._answers_left is None:
                fault = self._means.faults.take("crash", repo_id=self.repo.id)
                self._answers_left = fault.after if fault is not None else None
            if self._answers_left is None:
                return False
            self._answers_left -= 1
            if self._answers_left >= 0:
                return False
            self._answers_left = None
            self._retire("RUNTIME_ERROR", f"Exit code: {_KILLED}")
            return True

    def _run(self, *, rebuild: bool = False) -> None:
        with self._lock:
            self._orders.put(_Order("run", rebuild))
            self._stage, self._message = self._while_serving("BUILDING"), None

    def _settings(self) -> Settings:
        return self._means.store.settings(self.repo)

    def _wish(self, wish: Wish) -> None:
        if self._settings().wish != wish:
            self._means.store.change(self.repo, lambda _: {"wish": wish})

    # --- the Space's own thread ---------------------------------------------------------------

    def _live(self) -> None:
        is_open = True
        while is_open:
            try:
                order = self._next_order()
                is_open = order.what != "close"
                self._carry_out(order)
            except _SupersededError:
                continue
            except _SpaceEnded as end:
                self._stop(end.stage, end.message)
            except (OpsError, HubError, OSError) as error:
                self._fail(str(error))
            except Exception as error:  # noqa: BLE001 -- else it builds for ever and obeys nobody
                self._fail(f"The local Hub failed: {type(error).__name__}: {error}")

    def _fail(self, message: str) -> None:
        self.run_log.write(message)
        self._stop("RUNTIME_ERROR", message)

    def _next_order(self) -> _Order:
        """The newest order; watches the app meanwhile."""
        while True:
            self._end_retired()
            try:
                order = self._orders.get(timeout=_WATCH_EVERY)
            except queue.Empty:
                self._watch()
                continue
            while order.what != "close" and not self._orders.empty():
                newer = self._orders.get()
                order = replace(newer, rebuild=order.rebuild or newer.rebuild)
            return order

    def _watch(self) -> None:
        serving = self._serving
        if serving is None:
            return
        try:
            code = serving.running.exit_code()
        except OpsError as error:  # the engine went away
            self._stop("RUNTIME_ERROR", error.message)
            return
        if code is not None:
            self._stop("RUNTIME_ERROR", f"Exit code: {code}")
            return
        seconds = sleep_time(self._settings())
        if seconds is not None and seconds >= 0:
            self.visits.unless_visited(seconds, self._fall_asleep)
            self._end_retired()

    def _fall_asleep(self) -> None:
        with self._lock:
            if self._orders.empty():
                self._wish("sleep")
                self._retire("SLEEPING")

    def _carry_out(self, order: _Order) -> None:
        if order.rebuild:
            self._built = None
        if order.what != "run":
            self._end_retired()
            return
        settings = self._settings()
        commit = self.repo.git.head()
        if commit is None:
            raise _SpaceEnded("NO_APP_FILE")
        card = self._card(commit, settings)
        if self._built is None or self._built[0] != commit:
            self._now(self._while_serving("BUILDING"))
            self._built = (commit, self._build(commit, settings))
        self._now(self._while_serving("APP_STARTING"))
        self._start(commit, self._built[1], card, settings)

    def _card(self, commit: str, settings: Settings) -> Card:
        card = read_card(self.repo.git.text(commit, "README.md"))
        if card.errors:
            raise _SpaceEnded("CONFIG_ERROR", "; ".join(card.errors))
        if both := sorted(settings.secrets.keys() & settings.variables.keys()):
            raise _SpaceEnded(
                "CONFIG_ERROR", f"Collision on variables and secrets names: {', '.join(both)}"
            )
        if card.sdk != "docker":
            raise _SpaceEnded("CONFIG_ERROR", f"A local Hub runs Docker Spaces, not {card.sdk}")
        if not any(e.kind == "file" for e in self.repo.git.entries(commit, ["Dockerfile"])):
            raise _SpaceEnded("NO_APP_FILE")
        return card

    def _build(self, commit: str, settings: Settings) -> Image:
        log = self.build_log = SpaceLog()
        log.write(f"===== Build Queued =====  Commit SHA: {commit[:7]}")
        try:
            return build(
                self.repo,
                commit,
                settings,
                self._means,
                log=log.write,
                check=self._check,
            )
        except OpsError as error:
            log.write(f"--> ERROR: {error.message}")
            raise _SpaceEnded("BUILD_ERROR", error.message) from error

    def _start(self, commit: str, image: Image, card: Card, settings: Settings) -> None:
        self._claim_slot()
        log = self.run_log = SpaceLog()
        log.write("===== Application Startup =====")
        if settings.volumes:
            log.write("A local Hub keeps and shows volumes, and mounts none.")
        started = self._means.runner.start(
            image,
            environment=environment(self.repo, self.host, card, settings),
            log=log.write,
            limits=limits(settings.hardware),
            app_port=card.app_port,
        )
        hangs = self._means.faults.take("hang-start", repo_id=self.repo.id) is not None
        try:
            wait_until_answering(started, card.start_limit, self._check, hangs=hangs)
            self._serve(_Serving(started, commit, settings.hardware))
        except StartFailed as failure:
            started.stop()
            raise _SpaceEnded("RUNTIME_ERROR", str(failure)) from failure
        except BaseException:
            started.stop()
            raise
        self._end_retired()

    def _claim_slot(self) -> None:
        """At the same time as nobody pauses it, which would give back what it has not yet."""
        with self._lock:
            self._check()
            try:
                self._means.slots.claim(self.repo)
            except HubError as error:
                raise _SpaceEnded("STOPPED", error.message) from error

    def _serve(self, serving: _Serving) -> None:
        """From now on visitors meet this version."""
        self.visits.renew()
        with self._lock:
            self._check()
            if self._serving is not None:
                self._retired.append(self._serving.running)
            self._serving = serving
            self._stage, self._message, self._woken = "RUNNING", None, False

    def _now(self, stage: Stage) -> None:
        with self._lock:
            self._check()
            self._stage = stage

    def _check(self) -> None:
        if not self._orders.empty():
            raise _SupersededError

    def _while_serving(self, stage: Literal["BUILDING", "APP_STARTING"]) -> Stage:
        if self._serving is None:
            return stage
        return "RUNNING_BUILDING" if stage == "BUILDING" else "RUNNING_APP_STARTING"

    def _stop(self, stage: Stage, message: str | None = None) -> None:
        """Serve no more. What a newer order has said of the stage already stays said."""
        with self._lock:
            self._retire(*((stage, message) if self._orders.empty() else (self._stage, None)))
        self._end_retired()

    def _retire(self, stage: Stage, message: str | None = None) -> None:
        """Let nobody in any more; the Space's thread ends the app."""
        with self._lock:
            if self._serving is not None:
                self._retired.append(self._serving.running)
                self._serving = None
            if stage.startswith("RUNNING"):  # a newer order has said so, when there was an app
                stage = "BUILDING"
            self._stage, self._message = stage, message
            self._woken = self._woken and stage in _ON_THE_WAY
            self._means.slots.release(self.repo)

    def _end_retired(self) -> None:
        with self._lock:
            retired, self._retired = self._retired, []
        for running in retired:
            try:
                running.stop()
            except OpsError as error:  # the engine went away, and the container with it
                self.run_log.write(error.message)
