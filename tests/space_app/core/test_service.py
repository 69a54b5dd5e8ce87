from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fakes.embedder import FakeEmbedder, fake_manifest, vector

from space_app.core.errors import EmptyInput, InvalidRequest, Stopping, TooManyInputs
from space_app.core.service import Service
from space_app.core.steps import MAX_TEXTS
from space_app.core.types import EmbedRequest, Role

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_INPUTS = 200


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
        big = asyncio.create_task(service.embed(request(*["word"] * MAX_TEXTS * 3)))
        await step_begins(embedder)
        small = asyncio.create_task(service.embed(request("small")))
        await asyncio.sleep(0)
        embedder.gate.set()
        await asyncio.gather(big, small)

    asyncio.run(both())

    assert [len(step) for step in embedder.steps] == [MAX_TEXTS, 1, MAX_TEXTS, MAX_TEXTS]


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

    assert [len(step) for step in embedder.steps] == [MAX_TEXTS, 1]
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
