"""The load process: reads a job on standard input, sends it, prints what it saw as JSON.

It is a process of its own so that it shares nothing with the server but the machine, and reports
what part of a core it used itself.
"""

from __future__ import annotations

import resource
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from job import Dialect, Job, Kind, Outcome
from wire import OK, TOO_MANY, Connection, Reply, WireError, get, post
from workload import (
    INSTRUCTION,
    INSTRUCTION_TOKENS,
    PASSAGE_WORDS,
    QUERY_WORDS,
    SPECIAL_TOKENS,
    Texts,
    words,
)

_HEALTH_PAUSE = 0.1
_MOST_REFUSALS = 20
_FIRST = 10
"""Requests that are not counted where there is no warm-up in seconds."""


def main() -> None:
    """Carry out one job."""
    job = Job.from_json(sys.stdin.read())
    load = Load(job, words(Path(job.tokenizer)))
    outcome = {
        Kind.LATENCY: load.latency,
        Kind.THROUGHPUT: load.throughput,
        Kind.LENGTHS: load.lengths,
        Kind.OVERHEAD: load.overhead,
        Kind.BULK: load.bulk,
    }[job.kind]()
    print(outcome.as_json())


class Clock:
    """Seconds since it was made, and the CPU that this process used in them."""

    def __init__(self) -> None:
        self._started, self._cpu = time.perf_counter(), _cpu_seconds()

    def stop(self, outcome: Outcome) -> Outcome:
        """Write both into the outcome."""
        outcome.seconds = time.perf_counter() - self._started
        outcome.client_cpu = (_cpu_seconds() - self._cpu) / outcome.seconds
        return outcome


class Load:
    """Sends a job's requests."""

    def __init__(self, job: Job, vocabulary: list[str]):
        self._job = job
        self._vocabulary = vocabulary
        self._texts = Texts(vocabulary, job.seed)
        self._outcome = Outcome()
        self._lock = threading.Lock()

    def latency(self) -> Outcome:
        """Short queries one after another, on one connection."""
        with Connection(self._job.port) as connection:
            for _ in range(_FIRST):
                self._query(connection)
            clock = Clock()
            until = time.perf_counter() + self._job.seconds
            while time.perf_counter() < until:
                self._outcome.times.append(self._query(connection))
        return clock.stop(self._outcome)

    def throughput(self) -> Outcome:
        """Texts of mixed lengths from clients that each send the next when they have the last.

        What ends after the warm-up and before the end of the window counts.
        """
        with ThreadPoolExecutor(self._job.clients) as pool:
            begin = time.perf_counter() + self._job.warm_up
            until = begin + self._job.seconds
            clients = [
                pool.submit(self._client, self._job.seed * 1000 + number, begin, until)
                for number in range(self._job.clients)
            ]
            time.sleep(self._job.warm_up)
            clock = Clock()
            time.sleep(max(0.0, until - time.perf_counter()))
            clock.stop(self._outcome)
            for client in clients:
                client.result()
        return self._outcome

    def lengths(self) -> Outcome:
        """Random lengths on a server that has seen none of them, then the same lengths again.

        The texts of both passes differ: only what a server does by length can be warm.
        """
        lengths = self._texts.lengths(self._job.requests)
        clock = Clock()
        with Connection(self._job.port) as connection:
            for times in (self._outcome.times, self._outcome.again):
                for count in lengths:
                    request = post("/v1/embeddings", {"model": "m", "input": self._texts.of(count)})
                    times.append(_timed(connection, request)[0])
        return clock.stop(self._outcome)

    def overhead(self) -> Outcome:
        """Requests one after another, as a client sends them that asks for nothing special."""
        clock = Clock()
        with Connection(self._job.port) as connection:
            until = time.perf_counter() + self._job.seconds
            while time.perf_counter() < until:
                content = {"model": "m", "input": self._some_texts()}
                request = post("/v1/embeddings", content)
                begin = time.perf_counter()
                reply = connection.send(request)
                self._outcome.times.append(time.perf_counter() - begin)
                _require_ok(reply)
                self._outcome.compute.append(reply.compute)
        return clock.stop(self._outcome)

    def bulk(self) -> Outcome:
        """Large requests back to back; with `pause`, queries and /health until the last is done."""
        requests = [self._bulk_request() for _ in range(self._job.requests)]
        over = threading.Event()
        with ThreadPoolExecutor(2) as pool, Connection(self._job.port) as connection:
            clock = Clock()
            beside = [pool.submit(self._queries, over), pool.submit(self._watch_health, over)]
            try:
                for request, tokens in requests:
                    self._send_until_taken(connection, request)
                    self._outcome.tokens += tokens
                clock.stop(self._outcome)
            finally:
                over.set()
            for client in beside:
                client.result()
        return self._outcome

    def _client(self, seed: int, begin: float, until: float) -> None:
        texts = Texts(self._vocabulary, seed)
        with Connection(self._job.port) as connection:
            while time.perf_counter() < until:
                text, count = texts.mixed()
                taken, ended = _timed(connection, self._request(text))
                if begin <= ended < until:
                    with self._lock:
                        self._outcome.times.append(taken)
                        self._outcome.tokens += count + SPECIAL_TOKENS + INSTRUCTION_TOKENS

    def _queries(self, over: threading.Event) -> None:
        """Short queries from somebody who has an answer, pauses, and asks again."""
        if not self._job.pause:
            return
        texts = Texts(self._vocabulary, self._job.seed + 1)
        with Connection(self._job.port) as connection:
            while not over.wait(texts.pause(self._job.pause)):
                request = self._request(texts.of(QUERY_WORDS))
                self._outcome.times.append(_timed(connection, request)[0])

    def _watch_health(self, over: threading.Event) -> None:
        if not self._job.pause:
            return
        with Connection(self._job.port) as connection:
            while not over.wait(_HEALTH_PAUSE):
                self._outcome.health.append(_timed(connection, get("/health"))[0])

    def _query(self, connection: Connection) -> float:
        return _timed(connection, self._request(self._texts.of(QUERY_WORDS)))[0]

    def _request(self, text: str) -> bytes:
        if self._job.dialect is Dialect.GUIDE:
            return post("/embed", {"text": text})
        return post("/embeddings", {"model": "bench", "input": INSTRUCTION + text})

    def _some_texts(self) -> str | list[str]:
        if self._job.texts == 1:
            return self._texts.of(QUERY_WORDS)
        return [self._texts.of(PASSAGE_WORDS) for _ in range(self._job.texts)]

    def _bulk_request(self) -> tuple[bytes, int]:
        """A request as OpenAI's client sends it, and how many tokens its texts have."""
        drawn = [self._texts.mixed() for _ in range(self._job.texts)]
        content = {
            "model": "bench",
            "input": [text for text, _ in drawn],
            "encoding_format": "base64",
        }
        return post("/v1/embeddings", content), sum(count + SPECIAL_TOKENS for _, count in drawn)

    def _send_until_taken(self, connection: Connection, request: bytes) -> None:
        while (reply := connection.send(request)).status == TOO_MANY:
            self._outcome.refused += 1
            if self._outcome.refused > _MOST_REFUSALS:
                raise WireError(f"a request of {self._job.texts} texts was refused all the time")
            time.sleep(reply.retry_after)
        _require_ok(reply)


def _timed(connection: Connection, request: bytes) -> tuple[float, float]:
    """Seconds that a request took, and when it ended."""
    begin = time.perf_counter()
    reply = connection.send(request)
    end = time.perf_counter()
    _require_ok(reply)
    return end - begin, end


def _require_ok(reply: Reply) -> None:
    if reply.status != OK:
        raise WireError(f"status {reply.status}: {reply.body[:300]!r}")


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
