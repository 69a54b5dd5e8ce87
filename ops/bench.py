"""`ops bench`: how fast a running server answers, whichever it is, as OpenAI's clients ask it."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx2

from ops.errors import Unhealthy
from ops.probe import Probe
from ops.refusals import quoted, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ops.probe import Access

QUERY_WORDS = 11
MIXED_WORDS = (10, 200)

_ROUTES = ("/v1/embeddings", "/embeddings")
_FIRST = 5
"""Requests that are not counted: who is asked first may have to wake up."""

_PAUSE = 0.1
_PATIENCE = 600.0
_MOST_WAIT = 30.0
_WORDS = (  # noqa: SIM905 -- as a list it would be a hundred lines
    "time year people way day man thing woman life child world school state family student group "
    "country problem hand part place case week company system program question work government "
    "number night point home water room mother area money story fact month lot right study book "
    "eye job word business issue side kind head house service friend father power hour game line "
    "end member law car city community name president team minute idea kid body information back "
    "parent face others level office door health person art war history party result change "
    "morning reason research girl guy moment air teacher force education foot boy age policy "
    "music market sense nation plan college interest death experience effect use class control"
).split()


@dataclass(frozen=True)
class Plan:
    """What is asked of the server; `bulk` texts are in each request of the bulk client, 0: none."""

    seconds: float = 10
    clients: int = 16
    bulk: int = 256


@dataclass(frozen=True)
class Latency:
    """Of requests, in milliseconds."""

    requests: int
    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Throughput:
    """Of clients that ask all the time. `tokens_per_second` is None where it counts no tokens.

    `refused` counts replies of 429, after which the client waited as it was told.
    """

    requests_per_second: float
    texts_per_second: float
    tokens_per_second: float | None
    refused: int
    latency: Latency


@dataclass(frozen=True)
class Benched:
    """What was measured: short queries by themselves, mixed clients, and queries beside a bulk."""

    url: str
    idle: Latency
    mixed: Throughput
    bulk: Throughput | None
    beside: Latency | None


def bench(url: str, access: Access, plan: Plan, say: Callable[[str], None]) -> Benched:
    """Measure a server; `say` gets a line before each part.

    Raises:
        ConfigError: the URL is none of a server.
        Unhealthy: it does not answer, or answers something else than embeddings.
    """
    with Probe(url, access, timeout=_PATIENCE) as probe:
        probe.choose_header()
        server = _Server(probe, _route(probe))
        say(f"Short queries, one after another, {plan.seconds:g} s")
        idle = _idle(server, plan.seconds)
        say(f"{plan.clients} clients, texts of 10 to 200 words, {plan.seconds:g} s")
        mixed = _mixed(server, plan)
        if not plan.bulk:
            return Benched(url, idle, mixed, None, None)
        say(f"Short queries beside requests of {plan.bulk} texts, {plan.seconds:g} s")
        return Benched(url, idle, mixed, *_beside(server, plan))


@dataclass
class _Seen:
    """What one client saw."""

    times: list[float] = field(default_factory=list)
    texts: int = 0
    tokens: int | None = 0
    refused: int = 0


@dataclass(frozen=True)
class _Server:
    probe: Probe
    route: str

    def ask(self, texts: str | list[str], seen: _Seen, until: float) -> None:
        """One request, again after a refusal; noted when it ends in time."""
        begun = time.perf_counter()
        while (reply := _post(self.probe, self.route, texts)).status_code == _TOO_MANY:
            seen.refused += 1
            if time.perf_counter() > until:
                return
            time.sleep(_asked_to_wait(reply))
        ended = time.perf_counter()
        if ended <= until:
            count = 1 if isinstance(texts, str) else len(texts)
            tokens = self._tokens(reply, count)
            seen.times.append(ended - begun)
            seen.texts += count
            seen.tokens = None if tokens is None or seen.tokens is None else seen.tokens + tokens

    def _tokens(self, reply: httpx2.Response, count: int) -> int | None:
        """How many it counted, if any; raises Unhealthy without `count` embeddings."""
        try:
            body = reply.json()
            embeddings = [each["embedding"] for each in body["data"]]
        except (ValueError, KeyError, TypeError, RecursionError):
            embeddings = []
        if len(embeddings) != count or not all(embeddings):
            raise Unhealthy(
                f"{self.probe.url}{self.route} does not answer with an embedding for each text.",
                cause="Another app answers there.",
                next_step="Give the server's own address, without a path.",
            )
        tokens = (body.get("usage") or {}).get("total_tokens")
        return tokens if isinstance(tokens, int) else None


_TOO_MUCH = (400, 413, 422)
_TOO_MANY = httpx2.codes.TOO_MANY_REQUESTS


def _route(probe: Probe) -> str:
    """Where it takes OpenAI's requests; raises Unhealthy where it does not."""
    for route in _ROUTES:
        reply = _post(probe, route, "hello", allowed=(httpx2.codes.NOT_FOUND, _TOO_MANY))
        if reply.status_code != httpx2.codes.NOT_FOUND:
            return route
    raise Unhealthy(
        f"{probe.url} has neither {' nor '.join(_ROUTES)}.",
        cause="It is no server of embeddings, or a proxy in front of it refuses the token.",
        next_step="Give the server's own address, without a path; check HF_TOKEN.",
    )


def _post(
    probe: Probe, route: str, texts: str | list[str], *, allowed: tuple[int, ...] = (_TOO_MANY,)
) -> httpx2.Response:
    content = {"model": "bench", "input": texts, "encoding_format": "base64"}
    try:
        reply = probe.request("POST", route, json=content)
    except httpx2.RequestError as error:
        raise Unhealthy(
            f"{probe.url} gives no answer: {type(error).__name__}.",
            next_step="Is it running? ops status says so of a Space.",
        ) from error
    if reply.status_code != httpx2.codes.OK and reply.status_code not in allowed:
        if reply.status_code in _TOO_MUCH:
            raise Unhealthy(
                f"{probe.url}{route} answered with {quoted(reply)}.",
                cause="It takes other requests, or fewer texts in one.",
                next_step="Ask for less with --bulk.",
            )
        raise refusal(reply, probe.url, probe.access)
    return reply


def _asked_to_wait(reply: httpx2.Response) -> float:
    asked = reply.headers.get("Retry-After", "")
    return min(float(asked), _MOST_WAIT) if asked.isdecimal() else 1.0


def _idle(server: _Server, seconds: float) -> Latency:
    words, seen = _texts(0), _Seen()
    for _ in range(_FIRST):
        server.ask(_query(words), _Seen(), float("inf"))
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        server.ask(_query(words), seen, float("inf"))
    return _latency(seen.times)


def _mixed(server: _Server, plan: Plan) -> Throughput:
    begun = time.perf_counter()
    until = begun + plan.seconds

    def client(number: int) -> _Seen:
        words, seen = _texts(number), _Seen()
        while time.perf_counter() < until:
            server.ask(next(words), seen, until)
        return seen

    with ThreadPoolExecutor(plan.clients) as pool:
        return _throughput(list(pool.map(client, range(1, plan.clients + 1))), plan.seconds)


def _beside(server: _Server, plan: Plan) -> tuple[Throughput, Latency]:
    begun = time.perf_counter()
    over = threading.Event()
    bulk, queries = _Seen(), _Seen()

    def load() -> None:
        words = _texts(-1)
        try:
            # One at least, however long it takes.
            while time.perf_counter() < begun + plan.seconds:
                server.ask([next(words) for _ in range(plan.bulk)], bulk, float("inf"))
        finally:
            over.set()

    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(load)
        words = _texts(-2)
        server.ask(_query(words), queries, float("inf"))
        while not over.wait(_PAUSE):
            server.ask(_query(words), queries, float("inf"))
        loading.result()
    return _throughput([bulk], time.perf_counter() - begun), _latency(queries.times)


def _texts(seed: int) -> Iterator[str]:
    """Texts of mixed lengths, the same ones for the same seed."""
    chance = random.Random(seed)  # noqa: S311 -- the same texts in each run
    while True:
        yield " ".join(chance.choices(_WORDS, k=chance.randint(*MIXED_WORDS)))


def _query(words: Iterator[str]) -> str:
    return " ".join(next(words).split()[:QUERY_WORDS])


def _throughput(seen: list[_Seen], seconds: float) -> Throughput:
    tokens = [each.tokens for each in seen if each.tokens is not None]
    return Throughput(
        requests_per_second=sum(len(each.times) for each in seen) / seconds,
        texts_per_second=sum(each.texts for each in seen) / seconds,
        tokens_per_second=sum(tokens) / seconds if len(tokens) == len(seen) else None,
        refused=sum(each.refused for each in seen),
        latency=_latency([taken for each in seen for taken in each.times]),
    )


def _latency(times: list[float]) -> Latency:
    if not times:
        raise Unhealthy(
            "Not one request was answered in time.", next_step="Give it longer: --seconds 60."
        )
    ordered = sorted(times)
    # The value that so many of a hundred do not exceed; of few values, the largest.
    cuts = (ordered[-(-len(ordered) * part // 100) - 1] * 1000 for part in (50, 95, 99))
    return Latency(len(ordered), *cuts)
