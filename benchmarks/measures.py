"""The measurements: each starts what it needs, one server at a time, and notes its readings."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from job import Job, Kind, Outcome
from prepare import HERE, PROJECT, Place, Unavailable, weights
from readings import Metric, Readings
from servers import Recipe, Server, running

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_MB = 1e6
_PASSAGES = 64
_PERCENT = 100
_LOAD_LIMIT = 3600


@dataclass(frozen=True)
class Scale:
    """How long each measurement takes; the texts are the same in kind."""

    rounds: int = 3
    query_seconds: float = 10
    mixed_warm_up: float = 5
    mixed_seconds: float = 25
    clients: int = 16
    length_requests: int = 300
    own_rounds: int = 3
    bulk_requests: int = 1
    bulk_texts: int = 2048
    pause: float = 0.25  # mean seconds between the queries beside the bulk
    graph_seconds: float = 3


FULL = Scale()
QUICK = replace(
    FULL,
    rounds=1,
    query_seconds=2,
    mixed_warm_up=1,
    mixed_seconds=5,
    length_requests=20,
    own_rounds=1,
    bulk_texts=128,
    graph_seconds=0.5,
)


class Measures:
    """Measures into `readings`. A round has the same texts for every server, another has others."""

    def __init__(self, place: Place, scale: Scale, readings: Readings):
        self._place = place
        self._scale = scale
        self._readings = readings

    def server(self, recipe: Recipe, number: int) -> None:
        """Start, latency, throughput and memory of one server in one round."""
        scale = self._scale
        with running(recipe, self._place.logs) as server:
            self._note(recipe, Metric.START_S, server.start_seconds)
            server.settle()
            query = self._load(
                Job(
                    kind=Kind.LATENCY,
                    port=server.port,
                    tokenizer=str(self._place.tokenizer),
                    seed=10 * number,
                    dialect=recipe.dialect,
                    seconds=scale.query_seconds,
                )
            )
            self._note(recipe, Metric.QUERY_P50_MS, percentile(query.times, 50) * 1000)
            self._note(recipe, Metric.QUERY_P95_MS, percentile(query.times, 95) * 1000)
            self._note_mixed(recipe, self._mixed(recipe, server, number))
            self._note_memory(recipe, server)

    def container(self, name: str, recipe: Recipe) -> None:
        """Start to first vector of a container; `name` is the server that is in it."""
        with running(recipe, self._place.logs) as server:
            self._readings.add(name, Metric.CONTAINER_S, server.start_seconds)
            say(f"{recipe.title}: {Metric.CONTAINER_S} {server.start_seconds:.4g}")

    def bare_graph(self) -> None:
        """The best rate of the artefact's graph by itself."""
        rates = self._script(
            "bare_graph.py",
            *(self._place.artefact, self._place.tokenizer),
            *("--seconds", self._scale.graph_seconds),
        )
        best = max(rates, key=lambda rate: rate["tokens_per_second"])
        self._readings.add("ours", Metric.BARE_TOKENS, best["tokens_per_second"])
        shape = f"{best['texts']} texts, {best['step_tokens']} tokens in {best['rows']} rows"
        say(f"bare graph: {best['tokens_per_second']:.0f} tokens/s ({shape})")

    def lengths(self, recipe: Recipe, number: int) -> None:
        """Random lengths on a server that was just started, and the same lengths again."""
        with running(recipe, self._place.logs) as server:
            outcome = self._load(
                Job(
                    kind=Kind.LENGTHS,
                    port=server.port,
                    tokenizer=str(self._place.tokenizer),
                    seed=10 * number + 2,
                    requests=self._scale.length_requests,
                )
            )
            self._note(recipe, Metric.COLD_P99_MS, percentile(outcome.times, 99) * 1000)
            self._note(recipe, Metric.WARM_P99_MS, percentile(outcome.again, 99) * 1000)
            self._note_memory(recipe, server)

    def bulk(self, recipe: Recipe, number: int) -> None:
        """Large requests alone, then with queries and /health beside them, on one server."""
        scale = self._scale
        with running(recipe, self._place.logs) as server:
            job = Job(
                kind=Kind.BULK,
                port=server.port,
                tokenizer=str(self._place.tokenizer),
                seed=10 * number + 3,
                requests=scale.bulk_requests,
                texts=scale.bulk_texts,
            )
            server.settle()
            self._load(replace(job, texts=max(1, scale.bulk_texts // 16), seed=10 * number + 4))
            alone = self._load(job)
            beside = self._load(replace(job, seed=10 * number + 6, pause=scale.pause))
            self._note(recipe, Metric.BULK_ALONE, alone.tokens / alone.seconds)
            self._note(recipe, Metric.BULK_SHARED, beside.tokens / beside.seconds)
            self._note(recipe, Metric.BULK_REFUSED, alone.refused + beside.refused)
            self._note(recipe, Metric.BESIDE_P50_MS, percentile(beside.times, 50) * 1000)
            self._note(recipe, Metric.BESIDE_P95_MS, percentile(beside.times, 95) * 1000)
            self._note(recipe, Metric.HEALTH_P99_MS, percentile(beside.health, 99) * 1000)
            self._note_memory(recipe, server)

    def overhead(self, recipe: Recipe, number: int) -> None:
        """What a request takes beyond its computing, of one text and of many."""
        with running(recipe, self._place.logs) as server:
            server.settle()
            for texts in (1, _PASSAGES):
                outcome = self._load(
                    Job(
                        kind=Kind.OVERHEAD,
                        port=server.port,
                        tokenizer=str(self._place.tokenizer),
                        seed=10 * number + 7,
                        seconds=self._scale.query_seconds,
                        texts=texts,
                    )
                )
                compute = percentile(outcome.compute, 50)
                above = percentile(outcome.times, 50) - compute
                if texts == 1:
                    self._note(recipe, Metric.OVERHEAD_MS, above * 1000)
                else:
                    self._note(recipe, Metric.OVERHEAD_PART, above / compute)

    def observing(self, recipe: Recipe, unobserved: Recipe, number: int) -> None:
        """Throughput with and without what observes, one right after the other."""
        for each, metric in (
            (recipe, Metric.OBSERVED_TOKENS),
            (unobserved, Metric.UNOBSERVED_TOKENS),
        ):
            with running(each, self._place.logs) as server:
                server.settle()
                mixed = self._mixed(each, server, number)
                self._note(recipe, metric, mixed.tokens / mixed.seconds)

    def quality(self, pairs: Path) -> None:
        """Rank agreement of a real model's artefact, and its cosines."""
        report = self._script("quality.py", self._place.small_artefact, weights(), pairs)
        for metric, value in (
            (Metric.SPEARMAN_OURS, report["ours"]),
            (Metric.SPEARMAN_REFERENCE, report["reference"]),
            (Metric.PAIRS_COSINE_MEAN, report["pairs_cosines"][0]),
            (Metric.PAIRS_COSINE_MIN, report["pairs_cosines"][1]),
            (Metric.COSINE_MEAN, report["cosines"][0]),
            (Metric.COSINE_MIN, report["cosines"][1]),
        ):
            self._readings.add("ours", metric, value)
        say(f"verification texts, by the export itself: {report['manifest']}")
        say(
            f"all-MiniLM-L6-v2 in {report['precision']} on {report['pairs']} pairs: "
            f"{report['ours']:.2f}, {report['reference']:.2f} in fp32"
        )

    def _mixed(self, recipe: Recipe, server: Server, number: int) -> Outcome:
        return self._load(
            Job(
                kind=Kind.THROUGHPUT,
                port=server.port,
                tokenizer=str(self._place.tokenizer),
                seed=10 * number + 1,
                dialect=recipe.dialect,
                seconds=self._scale.mixed_seconds,
                warm_up=self._scale.mixed_warm_up,
                clients=self._scale.clients,
            )
        )

    def _note(self, recipe: Recipe, metric: Metric, value: float) -> None:
        self._readings.add(recipe.name, metric, value)
        say(f"{recipe.title}: {metric} {value:.4g}")

    def _note_mixed(self, recipe: Recipe, outcome: Outcome) -> None:
        self._note(recipe, Metric.REQUESTS, len(outcome.times) / outcome.seconds)
        self._note(recipe, Metric.TOKENS, outcome.tokens / outcome.seconds)
        self._note(recipe, Metric.MIXED_P95_S, percentile(outcome.times, 95))
        self._note(recipe, Metric.CLIENT_CPU, outcome.client_cpu)

    def _note_memory(self, recipe: Recipe, server: Server) -> None:
        memory = server.memory()
        self._note(recipe, Metric.RSS_MB, memory.rss / _MB)
        self._note(recipe, Metric.PSS_MB, memory.pss / _MB)

    def _load(self, job: Job) -> Outcome:
        """Run the load process."""
        return Outcome.from_json(_output([sys.executable, HERE / "load.py"], job.as_json()))

    def _script(self, name: str, *arguments: object) -> Any:
        """What one of the other scripts prints, in a process of its own."""
        return json.loads(_output([sys.executable, HERE / name, *arguments]).splitlines()[-1])


def percentile(values: Sequence[float], part: int) -> float:
    """The value that so many of a hundred do not exceed; of few values, the largest."""
    ordered = sorted(values)
    if not ordered:
        raise Unavailable("not one request ended in the time of the measurement")
    return ordered[min(len(ordered) - 1, -(-len(ordered) * part // _PERCENT) - 1)]


def say(line: str) -> None:
    """Progress."""
    print(f"  {line}", flush=True)


def _output(command: Sequence[object], given: str = "") -> str:
    """Its standard output; raises Unavailable with what it wrote to standard error."""
    try:
        done = subprocess.run(
            list(map(str, command)),
            input=given,
            capture_output=True,
            text=True,
            timeout=_LOAD_LIMIT,
            check=False,
            cwd=PROJECT,
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{command[1]} did not end in {_LOAD_LIMIT} s") from error
    if done.returncode:
        raise Unavailable(f"{command[1]} failed: {done.stderr[-1500:]}")
    return done.stdout
