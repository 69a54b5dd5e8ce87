from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fakes.embedder import STEP_SHAPES, STEP_TEXTS, FakeEmbedder, fake_manifest, vector

from space_app.core.errors import EmptyInput, InvalidRequest, Overloaded, Stopping, TooManyInputs
from space_app.core.service import Service
from space_app.core.types import EmbedRequest, Role, Side

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from space_app.core.types import Embeddings, Encoded

MAX_INPUTS = 200
MAX_TEXTS = STEP_TEXTS


@pytest.fixture
def embedder() -> FakeEmbedder:
    """What the service computes with."""
    return FakeEmbedder()


@pytest.fixture
def service(embedder: FakeEmbedder) -> Iterator[Service]:
    """A service with an instruction for each role."""
    made = Service(embedder, fake_manifest(document_instruction="passage: "), max_inputs=MAX_INPUTS)
    yield made
    embedder.gate.set()
    made.close()


def request(*texts: str, role: Role = Role.DOCUMENT, dimensions: int | None = None) -> EmbedRequest:
    """A request for these texts."""
    return EmbedRequest(texts, role, dimensions)


async def step_begins(embedder: FakeEmbedder) -> None:
    """Wait for the worker thread to take a step up."""
    await asyncio.to_thread(embedder.started.acquire, timeout=30)


async def queued(service: Service, texts: int) -> None:
    """Wait until so many texts are tokenised that no step has taken yet."""
    while service.state.load.texts < texts:  # noqa: ASYNC110 -- threads tell no loop
        await asyncio.sleep(0.001)


@pytest.mark.parametrize(
    ("role", "read"), [(Role.QUERY, "query: hello"), (Role.DOCUMENT, "passage: hello")]
)
def test_each_role_has_its_instruction(
    service: Service, embedder: FakeEmbedder, role: Role, read: str
) -> None:
    """The instruction of the text's role is put before it, and no other."""
    asyncio.run(service.embed(request("hello", role=role)))

    assert embedder.steps == [[read]]


def test_answers_are_in_the_order_of_the_texts(service: Service) -> None:
    """Texts of all lengths over several steps come back in their order, with all that was found."""
    texts = [" ".join(["w"] * (1 + n * 7 % 11)) + f" {n}" for n in range(MAX_TEXTS * 3)]
    result = asyncio.run(service.embed(request(*texts)))

    wanted = np.stack([vector(f"passage: {text}") for text in texts])
    np.testing.assert_array_equal(result.vectors, wanted)
    words = [len(text.split()) + 1 for text in texts]
    assert result.tokens == tuple(min(count, 6) for count in words)
    assert result.truncated == tuple(count > 6 for count in words)


def test_fewer_dimensions_are_the_first_ones_at_length_1(service: Service) -> None:
    """A shortened vector points where the whole one's beginning does."""
    whole, short = (
        asyncio.run(service.embed(request("hello", dimensions=d))).vectors[0] for d in (None, 3)
    )

    np.testing.assert_allclose(short, whole[:3] / np.linalg.norm(whole[:3]), rtol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (request(), EmptyInput),
        (request("a", ""), EmptyInput),
        (request(*["a"] * (MAX_INPUTS + 1)), TooManyInputs),
        (request("a", dimensions=0), InvalidRequest),
        (request("a", dimensions=9), InvalidRequest),
    ],
    ids=["none", "empty", "many", "no dimensions", "more dimensions"],
)
def test_what_cannot_be_answered_is_not_computed(
    service: Service, embedder: FakeEmbedder, wrong: EmbedRequest, error: type[Exception]
) -> None:
    """A request outside the limits is refused before any work."""
    with pytest.raises(error):
        asyncio.run(service.embed(wrong))

    assert embedder.steps == []


def test_computing_is_off_the_event_loop(service: Service, embedder: FakeEmbedder) -> None:
    """All steps run in one thread, which is not the caller's."""

    async def several() -> None:
        await asyncio.gather(*(service.embed(request(f"{n}")) for n in range(5)))

    asyncio.run(several())

    assert len(embedder.threads) == 1
    assert threading.current_thread().name not in embedder.threads


def test_a_small_request_goes_between_two_steps_of_a_big_one(
    service: Service, embedder: FakeEmbedder
) -> None:
    """Whoever asks for one text does not wait for somebody's whole batch."""

    async def both() -> None:
        embedder.gate.clear()
        big = asyncio.create_task(service.embed(request(*(f"word {n}" for n in range(64)))))
        await step_begins(embedder)
        small = asyncio.create_task(service.embed(request("small")))
        await queued(service, service.state.load.texts + 1)
        embedder.gate.set()
        await asyncio.gather(big, small)

    asyncio.run(both())

    assert len(embedder.steps) > 3
    assert "passage: small" in embedder.steps[1]


def test_a_small_request_is_not_read_behind_a_big_one(
    service: Service, embedder: FakeEmbedder
) -> None:
    """Tokenising somebody's thousand texts keeps nobody else waiting."""

    async def both() -> None:
        embedder.reading.clear()
        big = asyncio.create_task(service.embed(request(*(f"word {n}" for n in range(100)))))
        await asyncio.to_thread(embedder.reading_started.acquire, timeout=30)
        await service.embed(request("small"))
        embedder.reading.set()
        await big

    asyncio.run(both())

    assert embedder.steps[0] == ["passage: small"]


def test_a_big_request_is_read_in_slices(service: Service, embedder: FakeEmbedder) -> None:
    """Computing begins when the first texts are read, and reading is off the event loop too."""
    asyncio.run(service.embed(request(*(f"word {n}" for n in range(150)))))

    assert [len(part) for part in embedder.read] == [64, 64, 22]
    assert threading.current_thread().name not in embedder.readers
    assert not embedder.readers & embedder.threads


def test_a_short_text_is_read_at_once(service: Service, embedder: FakeEmbedder) -> None:
    """One that costs less than waking a thread is read where it came, a longer one is not."""
    asyncio.run(service.embed(request("short")))
    here = {threading.current_thread().name}
    assert embedder.readers == here

    embedder.readers.clear()
    asyncio.run(service.embed(request("word " * 1000)))
    assert not embedder.readers & here


def test_a_cancelled_request_is_not_computed_further(
    service: Service, embedder: FakeEmbedder
) -> None:
    """Steps of an abandoned request are dropped, and the next request is served."""

    async def abandon() -> None:
        embedder.gate.clear()
        tasks = [
            asyncio.create_task(service.embed(request(*["word"] * MAX_TEXTS * 3))),
            asyncio.create_task(service.embed(request("waiting"))),
        ]
        await step_begins(embedder)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert service.idle
        embedder.gate.set()
        await service.embed(request("next"))

    asyncio.run(abandon())

    assert len(embedder.steps) == 2
    assert embedder.steps[-1] == ["passage: next"]


def test_stopping_refuses_new_work_and_finishes_the_old(
    service: Service, embedder: FakeEmbedder
) -> None:
    """After stop() what was admitted is answered, and nothing more is admitted."""

    async def stop() -> None:
        embedder.gate.clear()
        admitted = asyncio.create_task(service.embed(request("old")))
        await step_begins(embedder)
        service.stop()
        assert not service.idle
        with pytest.raises(Stopping):
            await service.embed(request("new"))
        embedder.gate.set()
        assert len((await admitted).vectors) == 1
        assert service.idle

    asyncio.run(stop())


def test_a_failing_text_fails_its_request_alone(service: Service, embedder: FakeEmbedder) -> None:
    """Who was in the same step is answered, and so is who comes after."""

    async def several() -> list[Embeddings | BaseException]:
        embedder.gate.clear()
        embedder.poison = "poison"
        first = asyncio.create_task(service.embed(request("first")))
        await step_begins(embedder)
        others = [
            asyncio.create_task(service.embed(request(*texts)))
            for texts in (("a", "b"), ("c", "poison"), ("d",))
        ]
        await queued(service, 5)
        embedder.gate.set()
        return await asyncio.gather(first, *others, return_exceptions=True)

    first, ab, guilty, d = asyncio.run(several())
    after = asyncio.run(service.embed(request("after")))

    assert isinstance(guilty, RuntimeError)
    assert [len(answer.vectors) for answer in (first, ab, d, after)] == [1, 2, 1, 1]
    together = [step for step in embedder.steps if "passage: poison" in step]
    assert [len(step) for step in together] == [5, 2]


def test_a_text_that_cannot_be_read_fails_its_request_alone() -> None:
    """An exception of the tokenizer is that request's, and the service goes on."""

    class Unreadable(FakeEmbedder):
        def encode(self, texts: Sequence[str], side: Side = Side.RIGHT) -> list[Encoded]:
            if any("unreadable" in text for text in texts):
                raise ValueError("unreadable")
            return super().encode(texts, side)

    service = Service(Unreadable(), fake_manifest(), max_inputs=9)
    with pytest.raises(ValueError, match="unreadable"):
        asyncio.run(service.embed(request("unreadable")))
    assert len(asyncio.run(service.embed(request("good"))).vectors) == 1
    assert service.idle
    service.close()


def test_too_long_a_wait_is_refused(service: Service, embedder: FakeEmbedder) -> None:
    """What would wait too long is told when to come again; a short text does not wait so long."""

    async def overload() -> Overloaded:
        embedder.gate.clear()
        big = asyncio.create_task(service.embed(request(*(f"{n} text" for n in range(MAX_INPUTS)))))
        await step_begins(embedder)
        with pytest.raises(Overloaded) as caught:
            await service.embed(request(*(f"late {n}" for n in range(MAX_INPUTS))))
        short = asyncio.create_task(service.embed(request("short")))
        await asyncio.sleep(0)
        embedder.gate.set()
        await asyncio.gather(short, big)
        return caught.value

    service = Service(embedder, fake_manifest(), max_inputs=MAX_INPUTS, max_wait=0.1)
    refused = asyncio.run(overload())
    service.close()

    assert refused.retry_after >= 1


def test_memory_is_bounded_but_an_idle_service_takes_everything(
    service: Service, embedder: FakeEmbedder
) -> None:
    """A request that is too large to wait with others is taken alone, and others are not, then."""

    async def ask() -> int:
        embedder.gate.clear()
        large = asyncio.create_task(service.embed(request("x" * 65 * 1024 * 1024)))
        await step_begins(embedder)
        with pytest.raises(Overloaded):
            await service.embed(request("y" * 1024 * 1024))
        embedder.gate.set()
        return len((await large).vectors)

    assert asyncio.run(ask()) == 1


def test_a_text_that_comes_again_is_not_computed(service: Service, embedder: FakeEmbedder) -> None:
    """Its vector, tokens and truncation are those of the first time; it is not even read."""
    long = "one two three four five six seven"
    first = asyncio.run(service.embed(request("a", long)))
    again = asyncio.run(service.embed(request("new", long, "a")))

    assert embedder.read == [["passage: a", f"passage: {long}"], ["passage: new"]]
    assert [len(step) for step in embedder.steps] == [2, 1]
    np.testing.assert_array_equal(again.vectors[[2, 1]], first.vectors)
    assert (again.tokens, again.truncated) == ((2, 6, 2), (False, True, False))
    assert (service.state.cache.hits, service.state.cache.misses) == (2, 3)


def test_anew_is_computed_whatever_is_remembered(service: Service, embedder: FakeEmbedder) -> None:
    """Who asks for a text anew has it computed, and the cache is fresh for the next one."""
    asyncio.run(service.embed(request("a")))
    asyncio.run(service.embed(replace(request("a"), anew=True)))
    asyncio.run(service.embed(request("a")))

    assert [len(step) for step in embedder.steps] == [1, 1]


def test_a_role_is_not_answered_with_anothers_vector(service: Service) -> None:
    """The same text as a query and as a document are two texts to the cache."""
    document, query = (asyncio.run(service.embed(request("a", role=role))) for role in Role)

    assert not np.allclose(document.vectors, query.vectors)


def test_all_dimensions_are_remembered(service: Service, embedder: FakeEmbedder) -> None:
    """A shortened answer leaves the whole vector in the cache."""
    asyncio.run(service.embed(request("a", dimensions=2)))

    assert asyncio.run(service.embed(request("a"))).vectors.shape == (1, 8)
    assert len(embedder.steps) == 1


def test_warming_takes_every_length_from_the_shortest(
    service: Service, embedder: FakeEmbedder
) -> None:
    """Each length is computed twice, nothing else, and then it is warm."""
    assert not service.state.warm
    service.warm_up()
    while not service.state.warm:
        threading.Event().wait(0.001)

    assert embedder.warmed == [shape.tokens for shape in STEP_SHAPES for _ in range(2)]
    assert embedder.steps == []


def test_what_requests_computed_need_not_be_warmed(
    service: Service, embedder: FakeEmbedder
) -> None:
    """A length that requests used already is left out."""
    for text in ("one", "two"):
        asyncio.run(service.embed(request(text)))
    service.warm_up()
    while not service.state.warm:
        threading.Event().wait(0.001)

    assert embedder.warmed == [shape.tokens for shape in STEP_SHAPES[1:] for _ in range(2)]


def test_warming_yields_to_requests(service: Service, embedder: FakeEmbedder) -> None:
    """A request that is there goes before all warming that is left."""

    async def ask() -> int:
        embedder.gate.clear()
        asked = asyncio.create_task(service.embed(request("first")))
        await step_begins(embedder)
        service.warm_up()
        again = asyncio.create_task(service.embed(request("second")))
        await queued(service, 1)
        assert embedder.warmed == []
        embedder.gate.set()
        await asyncio.gather(asked, again)
        return len(embedder.steps)

    assert asyncio.run(ask()) == 2


def test_closing_twice(service: Service) -> None:
    """A closed service can be closed again."""
    service.close()
    service.close()


def test_an_answer_says_where_its_time_went(service: Service, embedder: FakeEmbedder) -> None:
    """Waiting behind somebody else's step is told apart from reading and computing."""

    async def behind() -> Embeddings:
        embedder.gate.clear()
        first = asyncio.create_task(service.embed(request("first")))
        await step_begins(embedder)
        second = asyncio.create_task(service.embed(request("second")))
        await queued(service, 1)
        await asyncio.sleep(0.05)
        embedder.gate.set()
        await first
        return await second

    timing = asyncio.run(behind()).timing
    again = asyncio.run(service.embed(request("second"))).timing

    assert timing.queue >= 0.05
    assert timing.compute > 0
    assert timing.tokenise > 0
    assert [phase.name for phase in timing.phases] == ["tokenise", "queue", "compute"]
    assert again.compute == 0
    assert again.tokenise > 0
