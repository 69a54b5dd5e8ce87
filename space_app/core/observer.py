"""Who is told what the core does: the seam to metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from space_app.core.scheduler import Step
    from space_app.core.types import Embeddings


class Observer(Protocol):
    """Told as it happens. Calls must be quick, from any thread, and raise nothing."""

    def answered(self, embeddings: Embeddings) -> None:
        """A request has its vectors. Called on the event loop."""

    def overloaded(self) -> None:
        """A request was refused because too much waits. Called on the event loop."""

    def invalid(self) -> None:
        """A request failed because a text has no usable vector. Called on the event loop."""

    def computed(self, step: Step, seconds: float) -> None:
        """A step of somebody's texts took so long. Called by the computing thread."""


class Nobody:
    """An observer that looks away."""

    def answered(self, embeddings: Embeddings) -> None:
        """Not noted."""

    def overloaded(self) -> None:
        """Not noted."""

    def invalid(self) -> None:
        """Not noted."""

    def computed(self, step: Step, seconds: float) -> None:
        """Not noted."""
