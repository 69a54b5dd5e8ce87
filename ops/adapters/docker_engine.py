"""Builds and runs Spaces by a Docker engine: the only importer of docker.

Containers get what a Space gives them: user 1000, its hardware's CPUs and memory, no new
privileges. They are published on loopback, so the engine must run on this machine.
"""

from __future__ import annotations

import re
import secrets
import threading
import traceback
import warnings
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import docker
import requests
import urllib3
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.utils import parse_repository_tag

from ops.adapters.dockerfile import read_dockerfile
from ops.adapters.free_port import LOOPBACK, free_port
from ops.errors import BaseImageUnavailable, BuildFailed, EngineUnavailable, Unhealthy
from ops.runner import CPU_BASIC, Image, Limits, Log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from docker.models.containers import Container

LABEL = "embedding-space"
"""Every container made here has it, with the value 1: `docker ps -aq --filter label=…=1`."""

_HELLO_LIMIT = 5
_REQUEST_LIMIT = 60
_STOP_GRACE = 5
_START_TRIES = 3
_TAIL_LINES = 30
_KILLED = 137

_TRANSPORT = (requests.RequestException, urllib3.exceptions.HTTPError)

_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
"""Terminal control sequences; the engine itself colours what a build writes to stderr."""

_START_ENGINE = "Start Docker (docker info must answer), or go without it: --runner process."


class DockerEngine:
    """A Docker engine that answers; see `ops.runner.Runner`."""

    name = "docker"

    def __init__(self, client: docker.DockerClient):
        self._client = client

    @classmethod
    def connect(cls) -> DockerEngine:
        """The engine of `DOCKER_HOST`, or of this machine.

        Raises:
            EngineUnavailable: none answers within a few seconds.
        """
        try:
            docker.from_env(timeout=_HELLO_LIMIT).close()
            return cls(docker.from_env(timeout=_REQUEST_LIMIT))
        except (DockerException, *_TRANSPORT) as error:
            _close_forgotten_socket(error)
            raise EngineUnavailable(
                "No Docker engine answers.", cause=_why_no_engine(error), next_step=_START_ENGINE
            ) from error

    def ensure_base_images(self, tree: Path, log: Log) -> None:
        """Have every image that the Dockerfile starts from, pulled where it is not here.

        Raises:
            BaseImageUnavailable: one is neither here nor can it be pulled.
        """
        for reference in read_dockerfile(tree / "Dockerfile").base_images:
            with _engine_errors():
                try:
                    self._client.images.get(reference)
                except ImageNotFound:
                    self._pull(reference, log)

    def build(self, tree: Path, *, tag: str, build_args: Mapping[str, str], log: Log) -> Image:
        """See `Runner.build`.

        The image is referred to by its id: its tag may be another build's a moment later.
        The build has the host's network, because a rehearsal's Hub listens on loopback.
        """
        arguments = read_dockerfile(tree / "Dockerfile").declared(build_args)
        tail: deque[str] = deque(maxlen=_TAIL_LINES)
        lines = _Lines(tail.append, log)
        image_id, failure = None, None
        with _streaming(
            lambda api: api.build(
                path=str(tree),
                tag=tag,
                buildargs=arguments,
                network_mode="host",
                rm=True,
                forcerm=True,
                decode=True,
            )
        ) as events:
            for event in events:
                lines.feed(_text(event))
                image_id = event.get("aux", {}).get("ID", image_id)
                failure = event.get("error", failure)
            lines.end()
        if failure is not None or image_id is None:
            raise BuildFailed(
                "The image could not be built.",
                cause=(failure or "the engine named no image at the end").strip(),
                next_step="The lines below say why: correct it, then build again.",
                log_tail=tuple(tail),
            )
        with _engine_errors():
            image = self._client.images.get(image_id)
        return Image(
            reference=image.short_id.removeprefix("sha256:"), size_bytes=image.attrs["Size"]
        )

    def start(
        self,
        image: Image,
        *,
        environment: Mapping[str, str],
        log: Log,
        limits: Limits = CPU_BASIC,
        app_port: int = 7860,
    ) -> DockerServer:
        """See `Runner.start`. Where this machine has fewer CPUs than `limits`, it gives all."""
        _require_sound(environment)
        with _engine_errors():
            cpus = min(limits.cpus, self._client.info()["NCPU"])
        options = {
            "user": "1000",
            "environment": dict(environment),
            "nano_cpus": int(cpus * 1e9),
            "mem_limit": limits.memory_bytes,
            "memswap_limit": limits.memory_bytes,
            "security_opt": ["no-new-privileges"],
            "labels": {LABEL: "1"},
        }
        for tries_left in reversed(range(_START_TRIES)):
            port = free_port()
            ports = {f"{app_port}/tcp": (LOOPBACK, port)}
            try:
                container = self._started(image.reference, ports=ports, **options)
            except APIError as error:
                # A server error may mean that somebody took the port meanwhile: try another one.
                if error.is_server_error() and tries_left:
                    continue
                raise Unhealthy(
                    f"The container of {image.reference} could not be started.",
                    cause=_explanation(error),
                    next_step="Build the image again: ops build.",
                ) from error
            return DockerServer(container, f"http://{LOOPBACK}:{port}", log)
        raise AssertionError  # the last try returns or raises

    def _started(self, reference: str, **options: Any) -> Container:
        """A container that runs; none is left behind when it does not, whatever the reason."""
        name = f"{LABEL}-{secrets.token_hex(6)}"
        try:
            with _engine_errors(but=APIError):
                container = self._client.containers.create(reference, name=name, **options)
                container.start()
                return container
        except BaseException:
            with suppress(DockerException, *_TRANSPORT):
                self._client.containers.get(name).remove(v=True, force=True)
            raise

    def _pull(self, reference: str, log: Log) -> None:
        repository, tag = parse_repository_tag(reference)
        failure: str | None = None
        log(f"Pulling {reference}")
        with _streaming(
            lambda api: api.pull(repository, tag=tag or "latest", stream=True, decode=True)
        ) as events:
            for event in events:
                for line in _text(event).splitlines():
                    log(line)
                failure = event.get("error", failure)
        if failure is not None:
            raise BaseImageUnavailable(
                f"The engine cannot get the image {reference}.",
                cause=failure,
                next_step=f"Try docker pull {reference}; or go without Docker: --runner process.",
            )


class DockerServer:
    """A container that was started; see `ops.runner.Running`."""

    def __init__(self, container: Container, url: str, log: Log):
        self._container = container
        self._url = url
        self._log = log
        self._stopped = False
        self._stopping = threading.Lock()
        self._exit_code: int | None = None
        self._reader = threading.Thread(target=self._follow, name=f"log of {url}", daemon=True)
        self._reader.start()

    @property
    def url(self) -> str:
        """See `Running.url`."""
        return self._url

    def exit_code(self) -> int | None:
        """See `Running.exit_code`; one that somebody else removed was killed."""
        if self._exit_code is None:
            with _engine_errors():
                try:
                    self._container.reload()
                except NotFound:
                    self._exit_code = _KILLED
                else:
                    state = self._container.attrs["State"]
                    if state["Status"] in ("exited", "dead"):
                        self._exit_code = int(state["ExitCode"])
        return self._exit_code

    def resident_bytes(self) -> int | None:
        """See `Running.resident_bytes`: what its memory limit counts, less the file cache."""
        with _engine_errors():
            try:
                stats: Any = self._container.stats(stream=False, one_shot=True)
            except NotFound:
                return None
        memory = stats["memory_stats"]
        if "usage" not in memory:
            return None
        counters = memory.get("stats", {})
        cache = counters.get("inactive_file", counters.get("total_inactive_file", 0))
        return int(memory["usage"]) - int(cache)

    def stop(self) -> None:
        """See `Running.stop`: asked to end, killed after some seconds, removed."""
        with self._stopping:
            if self._stopped:
                return
            try:
                with _engine_errors(), suppress(NotFound):
                    self._container.stop(timeout=_STOP_GRACE)
                self.exit_code()
            finally:
                with _engine_errors(), suppress(NotFound):
                    self._container.remove(v=True, force=True)
            self._stopped = True
        self._reader.join(timeout=_STOP_GRACE)

    def _follow(self) -> None:
        lines = _Lines(self._log)
        # An engine that goes away ends the log; whoever asks for the exit code is told.
        with suppress(DockerException, *_TRANSPORT):
            for chunk in self._container.logs(stream=True, follow=True):
                lines.feed(chunk.decode("utf-8", "replace"))
        lines.end()


class _Lines:
    """Makes lines of a stream's pieces, and tells each to all takers, without colours."""

    def __init__(self, *takers: Log):
        self._takers = takers
        self._rest = ""

    def feed(self, text: str) -> None:
        *lines, self._rest = re.split(r"\r\n|[\r\n]", self._rest + text)
        for line in lines:
            self._tell(line)

    def end(self) -> None:
        if self._rest:
            self._tell(self._rest)
        self._rest = ""

    def _tell(self, line: str) -> None:
        plain = _COLOURS.sub("", line)
        for taker in self._takers:
            taker(plain)


@contextmanager
def _streaming(
    call: Callable[[docker.APIClient], Iterator[dict[str, Any]]],
) -> Iterator[Iterator[dict[str, Any]]]:
    """The events of a long request, over a connection of its own that is cut when we leave.

    Cutting it is what tells the engine to give up a build or a pull. The library keeps the
    response to itself, hence the hook.
    """
    responses: list[requests.Response] = []

    def keep(response: requests.Response, **_: object) -> None:
        responses.append(response)

    with _engine_errors():
        client = docker.from_env(timeout=_REQUEST_LIMIT)
    client.api.hooks["response"].append(keep)
    try:
        yield _events(lambda: call(client.api))
    finally:
        for response in responses:
            response.close()
        client.close()


def _events(call: Callable[[], Iterator[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """What the call yields; a refusal of the whole request reads as one that came in between."""
    with _engine_errors(but=APIError):
        try:
            yield from call()
        except APIError as error:
            yield {"error": _explanation(error)}


@contextmanager
def _engine_errors(but: type[DockerException] | tuple[()] = ()) -> Iterator[None]:
    """Translates what the engine does not do; `but` is left to the caller."""
    try:
        yield
    except but:
        raise
    except APIError as error:
        raise EngineUnavailable(
            "The Docker engine failed.",
            cause=_explanation(error),
            next_step="Read the engine's own log, or go without it: --runner process.",
        ) from error
    except (DockerException, *_TRANSPORT) as error:
        raise EngineUnavailable(
            "The Docker engine does not answer any more.",
            cause=_why_no_engine(error),
            next_step=_START_ENGINE,
        ) from error


def _close_forgotten_socket(error: BaseException) -> None:
    """Let go of the socket that docker-py made and could not connect.

    Nobody closes it (docker 7.2, transport/unixconn.py), and the error's frames keep it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        for link in _chain(error):
            traceback.clear_frames(link.__traceback__)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _why_no_engine(error: BaseException) -> str:
    """From the kind of error at the root: texts differ between versions and systems."""
    for link in _chain(error):
        if isinstance(link, PermissionError):
            return "This user may not use the engine's socket."
        if isinstance(link, FileNotFoundError):
            return "The engine's socket does not exist: Docker is not installed or not started."
        if isinstance(link, TimeoutError | requests.Timeout):
            return "It took the connection and said nothing."
    return "Docker is not installed, not started, or not where DOCKER_HOST says."


def _text(event: Mapping[str, Any]) -> str:
    """What an event says to people; progress bars say nothing."""
    if "stream" in event:
        return str(event["stream"])
    if "status" in event and not event.get("progressDetail"):
        layer = f"{event['id']}: " if "id" in event else ""
        return f"{layer}{event['status']}\n"
    if "error" in event:
        return f"{event['error']}\n"
    return ""


def _explanation(error: APIError) -> str:
    return str(error.explanation or f"the engine answered {error.status_code}")


def _require_sound(environment: Mapping[str, str]) -> None:
    """Refuse what the engine would refuse with the variable's value in its message."""
    for name, value in environment.items():
        if not name or "=" in name or "\0" in name + value:
            raise Unhealthy(
                f"The variable {name!r} cannot be in an environment.",
                next_step="Names have no =, and neither names nor values a NUL character.",
            )
