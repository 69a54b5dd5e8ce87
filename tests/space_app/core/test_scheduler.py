from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from space_app.core.scheduler import BULK_SHARE, RECENT_SECONDS, Scheduler, Step
from space_app.core.types import Shape
from space_app.core.waiting import INTERACTIVE_TEXTS, Item

LENGTHS = (16, 32, 64, 128, 256)
SHAPES = (
    *(Shape(1, length) for length in LENGTHS[:-1]),
    Shape(4, 64),
    Shape(2, 128),
    Shape(1, LENGTHS[-1]),
)
TEXTS = 12
LONG_AGO = RECENT_SECONDS * 10


@dataclass
class Arrival:
    """A request: before which step it comes, and before which it leaves, if it does."""

    comes: int
    tokens: list[int]
    leaves: int | None = None


@dataclass
class Run:
    """A scheduler under a load; each step takes a tenth of a second of a clock of its own."""

    scheduler: Scheduler = field(default_factory=lambda: Scheduler(SHAPES, TEXTS))
    steps: list[Step] = field(default_factory=list)

    def enter(self, request: int, tokens: list[int], *, key: str = "") -> None:
        """A request with all its texts."""
        now = len(self.steps) / 10
        self.scheduler.enter(request, texts=len(tokens), expected=sum(tokens), now=now, key=key)
        self.scheduler.add(request, enumerate(tokens), expected=0)

    def step(self) -> Step | None:
        """Take the next step."""
        found = self.scheduler.next_step(len(self.steps) / 10)
        if found is not None:
            self.steps.append(found)
        return found

    def drain(self) -> None:
        """Take steps until nothing waits."""
        while self.step() is not None:
            pass

    def until_done(self, request: int, tokens: list[int]) -> int:
        """How many steps were taken when the last text of a request was in one."""
        last = max(n for n, step in enumerate(self.steps) if request in step.requests)
        taken = sum(len([i for i in step.items if i.request == request]) for step in self.steps)
        assert taken == len(tokens)
        return last + 1


lengths = st.lists(
    st.integers(1, LENGTHS[-1]) | st.integers(1, 6), min_size=1, max_size=40
) | st.lists(st.integers(1, 6), min_size=1, max_size=8)
arrivals = st.builds(
    Arrival,
    comes=st.integers(0, 12),
    tokens=lengths,
    leaves=st.none() | st.integers(0, 20),
)


def simulate(requests: list[Arrival]) -> Run:
    """Let these requests come and go, one step after the other, until all is done."""
    run = Run()
    slot = 0
    while slot <= 20 or run.scheduler.load().tokens:
        for number, request in enumerate(requests):
            if request.comes == slot:
                run.enter(number, request.tokens)
            if request.leaves == slot and request.comes <= slot:
                run.scheduler.drop(number)
        step = run.step()
        if step is not None:
            check_gone(step, requests, slot)
        slot += 1
    return run


def check_gone(step: Step, requests: list[Arrival], slot: int) -> None:
    """Nothing is computed for who has left, or is not there yet."""
    for number in step.requests:
        left = requests[number].leaves
        assert requests[number].comes <= slot
        assert left is None or left > slot or left < requests[number].comes


@given(st.lists(arrivals, max_size=8))
def test_nothing_is_lost_or_computed_twice_or_for_who_has_left(requests: list[Arrival]) -> None:
    """Every text of every request that stays is in exactly one step, and of others in one at most.

    `simulate` checks that no step has a text of a request that left before.
    """
    items = Counter(item for step in simulate(requests).steps for item in step.items)

    assert all(count == 1 for count in items.values())
    for number, request in enumerate(requests):
        asked = {Item(tokens, number, at) for at, tokens in enumerate(request.tokens)}
        if request.leaves is None or request.leaves < request.comes:
            assert asked <= items.keys()
    assert len(items) <= sum(len(request.tokens) for request in requests)


@given(st.lists(arrivals, max_size=8))
def test_every_step_keeps_to_the_embedders_limits(requests: list[Arrival]) -> None:
    """A step's rows fit into its shape, which is the first that holds them, and its texts."""
    for step in simulate(requests).steps:
        totals = [sum(item.tokens for item in row) for row in step.rows]
        assert all(totals)
        assert step.shape == next(shape for shape in SHAPES if shape.holds(totals))
        assert 1 <= len(step.items) <= TEXTS


def test_very_short_texts_are_counted() -> None:
    """Where interactive texts lead, what fills the step up is no more texts than it may have."""
    run = Run()
    run.enter(0, [1] * 200)
    run.enter(1, [1] * 6)
    step = run.step()

    assert step is not None
    assert len(step.items) == TEXTS
    assert step.requests == {0, 1}


@given(st.lists(st.integers(20, LENGTHS[-1] // 4), min_size=40, max_size=200))
def test_a_long_queue_wastes_little(tokens: list[int]) -> None:
    """While more waits than a step holds, a step is full but for less than its shortest text."""
    run = Run()
    run.enter(0, tokens)
    left = sum(tokens)
    while left > 2 * LENGTHS[-1]:
        step = run.step()
        assert step is not None
        used = sum(item.tokens for item in step.items)
        assert used > step.shape.tokens * 3 / 4 or len(step.items) == TEXTS
        left -= used


def test_texts_of_mixed_lengths_fill_steps_exactly() -> None:
    """With lengths to choose from, hardly anything is left empty."""
    run = Run()
    for request in range(10):
        run.enter(request, [15 + (request * 37 + n * 53) % 90 for n in range(40)])
    run.drain()

    used = sum(item.tokens for step in run.steps for item in step.items)
    assert used > 0.97 * sum(step.shape.tokens for step in run.steps)


def test_an_interactive_request_goes_first() -> None:
    """Bulk that came before does not keep a short one from the next step, whose room bulk fills."""
    run = Run()
    run.enter(0, [20] * 500)
    run.step()
    run.enter(1, [10])
    step = run.step()

    assert step is not None
    assert step.requests == {0, 1}
    assert sum(item.tokens for item in step.items) > step.shape.tokens - 20


def test_steps_are_short_while_interactive_requests_come() -> None:
    """Who comes while bulk is computed waits for a short step, and for a long one otherwise."""
    run = Run()
    run.enter(0, [20] * 500)
    calm = run.step()
    run.enter(1, [10])
    run.step()
    alert = run.step()
    after = run.scheduler.next_step(LONG_AGO)

    assert calm is not None
    assert alert is not None
    assert after is not None
    assert alert.requests == {0}
    assert calm.shape.tokens == after.shape.tokens == LENGTHS[-1]
    assert alert.shape.tokens <= LENGTHS[-1] // 4


def test_many_interactive_texts_make_long_steps() -> None:
    """Where more short requests wait than a short step holds, they are computed together."""
    run = Run()
    for request in range(60):
        run.enter(request, [25])
    step = run.step()

    assert step is not None
    assert step.shape.tokens == LENGTHS[-1]


@given(st.integers(1, 30), st.lists(st.integers(1, 60), min_size=9, max_size=60))
def test_a_flood_of_interactive_requests_starves_nobody(flood: int, tokens: list[int]) -> None:
    """However many short requests come before each step, bulk has its share of the time."""
    run = Run()
    run.enter(0, tokens)
    number = 0
    while run.scheduler.load().tokens and len(run.steps) < 10_000:
        left = {item.position for step in run.steps for item in step.items if item.request == 0}
        if len(left) == len(tokens):
            break
        for _ in range(flood):
            number += 1
            run.enter(number, [16])
        run.step()

    spent = sum(step.shape.tokens for step in run.steps)
    assert spent <= (sum(tokens) + 60 * len(tokens)) / BULK_SHARE + 4 * LENGTHS[-1]


@pytest.mark.parametrize("texts", [1, INTERACTIVE_TEXTS, 40])
def test_a_big_request_does_not_block_a_smaller_one(texts: int) -> None:
    """A smaller one is done as if the big one had come in parts of its size."""
    tokens = [20] * texts
    run = Run()
    run.enter(0, [20] * 2048)
    run.step()
    run.enter(1, tokens)
    run.drain()

    needed = -(-sum(tokens) // LENGTHS[-1])
    assert run.until_done(1, tokens) <= 2 * needed + 4


def test_bulk_requests_share() -> None:
    """Two of the same size are done at about the same time, though one came a little later."""
    tokens = [30] * 300
    run = Run()
    run.enter(0, tokens)
    run.step()
    run.enter(1, tokens)
    run.drain()

    assert run.until_done(0, tokens) >= len(run.steps) - 3
    assert run.until_done(1, tokens) == len(run.steps)


def test_who_came_late_does_not_catch_up() -> None:
    """A newcomer shares from now on; that it had nothing before does not stop the old ones."""
    run = Run()
    run.enter(0, [30] * 1000)
    for _ in range(60):
        run.step()
    run.enter(1, [30] * 200)
    before = len(run.steps)
    for _ in range(6):
        run.step()

    given = Counter(item.request for step in run.steps[before:] for item in step.items)
    assert abs(given[0] - given[1]) <= LENGTHS[-1] // 30


def test_new_bulk_requests_do_not_starve_an_old_one() -> None:
    """Requests that keep coming take turns with who is there already."""
    tokens = [40] * 60
    run = Run()
    run.enter(0, tokens)
    for number in range(1, 400):
        run.enter(number, [20] * (INTERACTIVE_TEXTS + 1))
        run.step()

    assert run.until_done(0, tokens) < 100


def test_a_step_that_failed_is_tried_apart() -> None:
    """Each request's texts come again by themselves, before anything else, but not of who left."""
    run = Run()
    for request in range(3):
        run.enter(request, [5, 6])
    run.enter(3, [20] * 100)
    failed = run.step()
    assert failed is not None
    assert failed.requests >= {0, 1, 2}
    run.scheduler.drop(3)
    run.scheduler.apart(failed)
    run.scheduler.drop(1)
    run.enter(4, [3])
    again = [run.step() for _ in range(3)]

    assert [step.requests for step in again if step] == [{0}, {2}, {4}]
    assert all(step and step.shape.tokens == 16 for step in again)
    assert run.step() is None


def test_a_request_that_turns_out_to_be_long_is_no_interactive_one() -> None:
    """What counts is what was read, not what was guessed."""
    run = Run()
    run.scheduler.enter(0, texts=8, expected=8, now=0)
    run.scheduler.add(0, enumerate([200] * 8), expected=0)
    run.enter(1, [3])

    step = run.step()
    assert step is not None
    assert step.items[0].request == 1


def test_texts_that_are_not_read_yet_count() -> None:
    """What is expected of a request is part of what waits, until it is there."""
    scheduler = Scheduler(SHAPES, TEXTS)
    scheduler.enter(0, texts=100, expected=1000, now=0)
    before = scheduler.load().tokens
    scheduler.add(0, [(0, 30), (1, 40)], expected=900)

    assert (before, scheduler.load().tokens) == (1000, 970)
    assert scheduler.load().texts == 2


@pytest.mark.parametrize("tokens", [[20] * 4, [20] * 60], ids=["interactive", "bulk"])
def test_keys_share(tokens: list[int]) -> None:
    """A key with many requests and one with few get as much as the other while both wait."""
    run = Run(Scheduler(SHAPES, TEXTS, max_wait=3600))
    for number in range(40):
        run.enter(number, tokens, key="many")
    for number in range(40, 43):
        run.enter(number, tokens, key="few")
    while not all(any(n in step.requests for step in run.steps) for n in (40, 41, 42)):
        run.step()

    few = sum(i.tokens for step in run.steps for i in step.items if i.request >= 40)
    many = sum(i.tokens for step in run.steps for i in step.items if i.request < 40)
    assert abs(many - few) <= sum(tokens) + 2 * LENGTHS[-1]


def test_a_key_that_comes_late_is_next() -> None:
    """Whatever waits of another key, a query is in the next step, and in every second one then."""
    run = Run()
    for number in range(200):
        run.enter(number, [30] * 8, key="many")
    for _ in range(20):
        run.step()
    for number in range(1000, 1005):
        run.enter(number, [10], key="few")
        before = len(run.steps)
        while not any(number in step.requests for step in run.steps[before:]):
            run.step()
        assert len(run.steps) - before <= 2


def test_a_text_that_is_too_long_is_a_bug() -> None:
    """A text that no step holds would wait for ever; it is refused instead."""
    run = Run()
    with pytest.raises(ValueError, match="bug"):
        run.enter(0, [LENGTHS[-1] + 1])
