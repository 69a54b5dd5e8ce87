"""Ten times the work that the server can do: are the admitted answered in time, and is it fair?

    python benchmarks/overload.py [--seconds 300] [--max-wait 30]

Simulated: the scheduler decides, on a clock of its own, what a modelled engine computes. So the
numbers are the same on every machine. Clients come back when Retry-After says so.
"""

from __future__ import annotations

import argparse
import heapq
import random
import statistics
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from space_app.core.scheduler import Scheduler, Step
from space_app.core.types import Shape

if TYPE_CHECKING:
    from collections.abc import Callable

SHAPES = tuple(
    sorted(
        [Shape(1, width) for width in (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)]
        + [Shape(2, 256), Shape(4, 128), Shape(3, 224)],
        key=lambda shape: (shape.tokens, shape.width),
    )
)
TEXTS = 32
TOKENS_A_SECOND = 9000
BETWEEN_STEPS = 0.001


@dataclass
class Client:
    """Sends a request, waits for its answer, pauses, sends the next."""

    name: str
    key: str
    texts: int
    tokens: tuple[int, int]
    pause: float = 0.0


@dataclass
class Seen:
    """What clients of one name saw."""

    times: list[float] = field(default_factory=list)
    late: int = 0
    refused: int = 0
    returned: int = 0
    taken: int = 0

    def line(self) -> str:
        """One line of the table."""
        if not self.times:
            return f"none answered, {self.refused} refused"
        ordered = sorted(self.times)
        p95 = ordered[int(0.95 * (len(ordered) - 1))]
        on_time = 1 - self.late / len(ordered)
        back = f"{self.taken / self.returned:.2f} of {self.returned}" if self.returned else "-"
        return (
            f"answered {len(ordered):6}  p50 {statistics.median(ordered):6.2f} s  "
            f"p95 {p95:6.2f} s  max {ordered[-1]:6.2f} s  in time {on_time:.3f}  "
            f"refused {self.refused:6}  came back and was taken {back}"
        )


@dataclass
class Request:
    """One of a client's, with the tokens of its texts."""

    client: Client
    tokens: list[int]
    came_back: bool = False
    began: float = 0.0
    left: int = 0


class Simulation:
    """Clients, a scheduler and an engine, on one clock."""

    def __init__(self, clients: list[Client], *, max_wait: float, seed: int = 1):
        self.seen: dict[str, Seen] = {client.name: Seen() for client in clients}
        self.computed = 0
        self.busy = 0.0
        self._scheduler = Scheduler(SHAPES, TEXTS, max_wait)
        self._max_wait = max_wait
        self._chance = random.Random(seed)  # noqa: S311 -- the same in every run
        self._now = 0.0
        self._numbers = count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._requests: dict[int, Request] = {}
        for shape in SHAPES * 2:  # as the server does when it has started
            self._scheduler.observe(Step((), shape), seconds_of(shape), 0.0)
        for client in clients:
            self._at(self._chance.uniform(0, 1), lambda client=client: self._begin(client))  # type: ignore[misc]

    def run(self, seconds: float) -> None:
        """Let so much time pass."""
        while self._now < seconds:
            while self._events and self._events[0][0] <= self._now:
                heapq.heappop(self._events)[2]()
            step = self._scheduler.next_step(self._now)
            if step is None:
                self._now = max(self._now, self._events[0][0])
                continue
            taken = seconds_of(step.shape) * self._chance.uniform(0.95, 1.15)
            self._now += taken + BETWEEN_STEPS
            self.busy += taken + BETWEEN_STEPS
            self._done(step)
            self._scheduler.observe(step, taken, self._now)

    def _at(self, when: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._numbers), what))

    def _begin(self, client: Client) -> None:
        tokens = [self._chance.randint(*client.tokens) for _ in range(client.texts)]
        self._send(next(self._numbers), Request(client, tokens))

    def _send(self, number: int, request: Request) -> None:
        client, total = request.client, sum(request.tokens)
        seen = self.seen[client.name]
        seen.returned += request.came_back
        wait = self._scheduler.refuse(
            texts=client.texts, tokens=total, key=client.key, mark=number, now=self._now
        )
        if wait is not None and self._requests:
            seen.refused += 1
            request.came_back = True
            self._at(self._now + wait, lambda: self._send(number, request))
            return
        seen.taken += request.came_back
        request.began, request.left = self._now, client.texts
        self._requests[number] = request
        self._scheduler.enter(
            number, texts=client.texts, expected=total, now=self._now, key=client.key
        )
        self._scheduler.add(number, enumerate(request.tokens), expected=0)

    def _done(self, step: Step) -> None:
        for item in step.items:
            self.computed += item.tokens
            request = self._requests[item.request]
            request.left -= 1
            if not request.left:
                del self._requests[item.request]
                self._scheduler.drop(item.request)
                self._answered(request)

    def _answered(self, request: Request) -> None:
        taken = self._now - request.began
        seen = self.seen[request.client.name]
        seen.times.append(taken)
        alone = 2 * sum(request.tokens) / TOKENS_A_SECOND * 1.35
        seen.late += taken > max(self._max_wait, alone)
        self._at(self._now + request.client.pause, lambda: self._begin(request.client))


def seconds_of(shape: Shape) -> float:
    """What the modelled engine takes for a step."""
    return 0.001 + shape.tokens / TOKENS_A_SECOND * (shape.width / 128) ** 0.15


def crowds(max_wait: float, times: float) -> dict[str, list[Client]]:
    """Groups of clients that together want so many times what can be done in the promised time."""
    work = TOKENS_A_SECOND * max_wait * times

    def many(share: float, client: Client) -> list[Client]:
        size = client.texts * sum(client.tokens) / 2
        return [client] * max(1, round(work * share / size))

    light = [Client("single queries of another key", "light", 1, (10, 40), 0.5)] * 2
    eights = Client("eight texts", "heavy", 8, (20, 60))
    passages = Client("64 passages", "heavy", 64, (40, 120))
    large = Client("500 passages", "other", 500, (40, 120))
    return {
        "one key with eight-text requests": light + many(1, eights),
        "one key with bulk": light + many(1, passages),
        "bulk of two keys and interactive requests": light
        + many(0.4, eights)
        + many(0.3, passages)
        + many(0.3, large),
        "no keys": many(0.5, Client("eight texts", "", 8, (20, 60)))
        + many(0.5, Client("64 passages", "", 64, (40, 120))),
        "one very large request beside queries": [
            *light,
            Client("8000 passages", "heavy", 8000, (40, 120)),
        ],
    }


def main() -> None:
    """Run all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--max-wait", type=float, default=30)
    parser.add_argument("--times", type=float, default=10)
    options = parser.parse_args()
    for name, clients in crowds(options.max_wait, options.times).items():
        simulation = Simulation(clients, max_wait=options.max_wait)
        simulation.run(options.seconds)
        rate = simulation.computed / simulation.busy
        print(f"{name}: {len(clients)} clients, {rate:.0f} tokens a second while busy")
        for who, seen in simulation.seen.items():
            print(f"  {who:32} {seen.line()}")


if __name__ == "__main__":
    main()
