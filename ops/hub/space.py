"""The life of one Space: builds what was pushed, starts it, watches it; its stages and logs.

A thread of its own carries out orders; a newer order ends the work on an older one. The version
that runs goes on serving until the next one answers.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

import httpx2

from ops.errors import OpsError
from ops.hub.card import Card, read_card
from ops.hub.errors import HubError
from ops.hub.hardware import FLAVOURS
from ops.hub.log import SpaceLog
from ops.runner import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ops.hub.repository import Entry
    from ops.hub.store import Repo, Settings, Store
    from ops.runner import Image, Log, Runner, Running

Stage = Literal[
    "NO_APP_FILE",
    "CONFIG_ERROR",
    "BUILDING",
    "BUILD_ERROR",
    "APP_STARTING",
    "RUNNING",
    "RUNNING_BUILDING",
    "RUNNING_APP_STARTING",
    "RUNTIME_ERROR",
    "DELETING",
    "PAUSED",
]
"""Those of the Hub's published stages that a Space can have here."""

_WATCH_EVERY = 0.5
_READY_POLL = 0.1
_SERVER_ERROR = 500


@dataclass(frozen=True)
class State:
    """What a Space is doing; `commit` is the one that runs."""

    stage: Stage
    commit: str | None = None
    error_message: str | None = None


@dataclass(frozen=True)
class _Order:
    what: Literal["run", "pause", "close"]
    rebuild: bool = False


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

    def __init__(
        self, repo: Repo, store: Store, runner: Runner, *, build_args: Mapping[str, str], host: str
    ):
        self.repo = repo
        self.host = host
        self.build_log = SpaceLog()
        self.run_log = SpaceLog()
        self._store = store
        self._runner = runner
        self._build_args = build_args
        self._state = State("BUILDING")
        self._built: tuple[str, Image] | None = None
        self._running: Running | None = None
        self._orders: queue.Queue[_Order] = queue.Queue()
        self._thread = threading.Thread(target=self._live, name=f"space {repo.id}", daemon=True)
        self._thread.start()

    @property
    def state(self) -> State:
        """What it is doing now."""
        return self._state

    @property
    def origin(self) -> str | None:
        """Where the app itself answers, None when nothing runs."""
        running = self._running
        return running.url if running is not None else None

    def run(self, *, rebuild: bool = False) -> None:
        """Bring the newest commit with the newest settings to run."""
        self._state = replace(
            self._state, stage=self._while_running("BUILDING"), error_message=None
        )
        self._orders.put(_Order("run", rebuild))

    def pause(self) -> None:
        """Stop it until it is restarted."""
        self._orders.put(_Order("pause"))

    def close(self) -> None:
        """End the work on it and the app; may be called again."""
        self._state = replace(self._state, stage="DELETING")
        self._orders.put(_Order("close"))
        self._thread.join()

    # --- the Space's own thread ---------------------------------------------------------------

    def _live(self) -> None:
        while (order := self._next_order()).what != "close":
            try:
                self._carry_out(order)
            except _SupersededError:
                continue
            except _SpaceEnded as end:
                self._stop()
                self._state = State(end.stage, error_message=end.message)
            except (OpsError, HubError, OSError) as error:
                self._stop()
                self.run_log.write(str(error))
                self._state = State("RUNTIME_ERROR", error_message=str(error))
        self._stop()

    def _next_order(self) -> _Order:
        """The newest order; watches the app meanwhile."""
        while True:
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
        try:
            code = self._running.exit_code() if self._running is not None else None
        except OpsError as error:  # the engine went away
            ended = error.message
        else:
            if code is None:
                return
            ended = f"Exit code: {code}"
        self._stop()
        self._state = State("RUNTIME_ERROR", error_message=ended)

    def _carry_out(self, order: _Order) -> None:
        if order.what == "pause":
            self._stop()
            self._state = State("PAUSED")
            return
        settings = self._store.settings(self.repo)
        commit = self.repo.git.resolve("main")
        card = self._card(commit, settings)
        if self._built is None or self._built[0] != commit or order.rebuild:
            self._state = replace(self._state, stage=self._while_running("BUILDING"))
            self._built = (commit, self._build(commit, settings))
        self._state = replace(self._state, stage=self._while_running("APP_STARTING"))
        self._start(self._built[1], card, settings)
        self._state = State("RUNNING", commit)

    def _card(self, commit: str, settings: Settings) -> Card:
        files = {entry.path: entry for entry in self.repo.git.tree(commit)}
        card = read_card(_text(self.repo, files.get("README.md")))
        if card.errors:
            raise _SpaceEnded("CONFIG_ERROR", "; ".join(card.errors))
        if both := sorted(settings.secrets.keys() & settings.variables.keys()):
            raise _SpaceEnded(
                "CONFIG_ERROR", f"Collision on variables and secrets names: {', '.join(both)}"
            )
        if card.sdk != "docker":
            raise _SpaceEnded("CONFIG_ERROR", f"A local Hub runs Docker Spaces, not {card.sdk}")
        if "Dockerfile" not in files:
            raise _SpaceEnded("NO_APP_FILE")
        return card

    def _build(self, commit: str, settings: Settings) -> Image:
        log = self.build_log = SpaceLog()
        log.write(f"===== Build Queued =====  Commit SHA: {commit[:7]}")
        variables = {name: v.value.get_secret_value() for name, v in settings.variables.items()}
        try:
            with TemporaryDirectory(prefix="embedding-space-build-") as folder:
                self.repo.git.export(commit, Path(folder))
                return self._runner.build(
                    Path(folder),
                    tag=f"embedding-space-hub/{self.repo.id.lower()}:latest",
                    build_args={**self._build_args, **variables},
                    log=self._cancelled_by_orders(log.write),
                )
        except OpsError as error:
            log.write(f"--> ERROR: {error.message}")
            raise _SpaceEnded("BUILD_ERROR", error.message) from error

    def _start(self, image: Image, card: Card, settings: Settings) -> None:
        log = self.run_log = SpaceLog()
        log.write("===== Application Startup =====")
        started = self._runner.start(
            image,
            environment=self._environment(card, settings),
            log=log.write,
            limits=_limits(settings.hardware),
            app_port=card.app_port,
        )
        try:
            self._wait_until_answering(started, card.start_limit)
        except BaseException:
            started.stop()
            raise
        before, self._running = self._running, started
        self._end(before)

    def _wait_until_answering(self, running: Running, limit: float) -> None:
        until = time.monotonic() + limit
        check = self._cancelled_by_orders(lambda _: None)
        with httpx2.Client(timeout=5, trust_env=False) as http:
            while time.monotonic() < until:
                check("")
                if (code := running.exit_code()) is not None:
                    raise _SpaceEnded("RUNTIME_ERROR", f"Exit code: {code}")
                try:
                    if http.head(running.url).status_code < _SERVER_ERROR:
                        return
                except httpx2.TransportError:
                    pass  # it does not listen yet
                time.sleep(_READY_POLL)
        raise _SpaceEnded(
            "RUNTIME_ERROR", f"Launch timed out, workload was not healthy after {limit:.0f} s"
        )

    def _environment(self, card: Card, settings: Settings) -> dict[str, str]:
        """What the Spaces documentation promises, then variables and secrets."""
        flavour = FLAVOURS[settings.hardware]
        own = settings.variables | settings.secrets
        return {
            "SYSTEM": "spaces",
            "ACCELERATOR": flavour.gpu.model if flavour.gpu is not None else "none",
            "CPU_CORES": str(flavour.vcpu),
            "MEMORY": f"{flavour.memory_gb}Gi",
            "SPACE_AUTHOR_NAME": self.repo.owner,
            "SPACE_REPO_NAME": self.repo.name,
            "SPACE_ID": self.repo.id,
            "SPACE_TITLE": card.title,
            "SPACE_HOST": self.host.partition("//")[2],
            "SPACE_CREATOR_USER_ID": "0" * 24,
            **{name: setting.value.get_secret_value() for name, setting in own.items()},
        }

    def _cancelled_by_orders(self, log: Log) -> Log:
        def write(line: str) -> None:
            if not self._orders.empty():
                raise _SupersededError
            log(line)

        return write

    def _while_running(self, stage: Literal["BUILDING", "APP_STARTING"]) -> Stage:
        if self._running is None:
            return stage
        return "RUNNING_BUILDING" if stage == "BUILDING" else "RUNNING_APP_STARTING"

    def _stop(self) -> None:
        running, self._running = self._running, None
        self._end(running)

    def _end(self, running: Running | None) -> None:
        if running is None:
            return
        try:
            running.stop()
        except OpsError as error:  # the engine went away, and the container with it
            self.run_log.write(error.message)


def runtime(space: Space, settings: Settings) -> dict[str, Any]:
    """The body of GET S/runtime."""
    state = space.state
    body: dict[str, Any] = {
        "stage": state.stage,
        "hardware": {
            "current": settings.hardware if space.origin is not None else None,
            "requested": settings.hardware,
        },
        "storage": None,
        "gcTimeout": settings.sleep_time,
        "replicas": {"current": int(space.origin is not None), "requested": 1},
        "devMode": False,
        "domains": [{"domain": space.host.partition("//")[2], "stage": "READY"}],
    }
    if state.commit is not None:
        body["sha"] = state.commit
    if state.error_message is not None:
        body["errorMessage"] = state.error_message
    return body


def _limits(hardware: str) -> Limits:
    """The flavour's, as far as this machine goes."""
    flavour = FLAVOURS[hardware]
    return Limits(min(flavour.vcpu, os.cpu_count() or 1), flavour.memory_gb * 1024**3)


def _text(repo: Repo, entry: Entry | None) -> str:
    if entry is None or entry.kind != "file" or entry.large is not None:
        return ""
    return repo.git.read(entry).decode(errors="replace")
