"""One run: prepares what can be had here, measures it in rounds, notes what was left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import images
import prepare
from measures import Measures, Scale, say
from prepare import PROJECT, RECIPES, Place, Unavailable
from readings import Metric, Readings
from servers import ServerFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from servers import Recipe

PARTS = ("graph", "peers", "lengths", "bulk", "layers", "quality")
_OURS = "ours"
_PAIRS = PROJECT.parent / "shared" / "data" / "stsb-dev.tsv"
_CONTAINER_STARTS = 3


@dataclass(frozen=True)
class Plan:
    """What is asked for. `image` is the tag of this project's image, None to leave images out."""

    parts: tuple[str, ...]
    servers: tuple[str, ...]
    scale: Scale
    image: str | None


class Bench:
    """Carries out a plan."""

    def __init__(self, plan: Plan, place: Place, readings: Readings):
        self.notes: list[str] = []
        self.failed = False
        self._plan = plan
        self._place = place
        self._readings = readings
        self._measures = Measures(place, plan.scale, readings)
        self._recipes: dict[str, Recipe] = {}

    @property
    def titles(self) -> dict[str, str]:
        """Of the servers that could be had, by name."""
        return {name: recipe.title for name, recipe in self._recipes.items()}

    def prepare(self) -> None:
        """Make what is not there yet; a peer that cannot be had here is left out, and said.

        Raises:
            Unavailable: this project's own model could not be exported.
        """
        prepare.model(self._place)
        if _OURS in self._plan.servers:
            prepare.artefact(self._place)
        for name in self._plan.servers:
            try:
                self._recipes[name] = RECIPES[name](self._place)
            except Unavailable as error:
                self._leave_out(name, error)

    def measure(self) -> None:
        """Peers in rounds, so that a busy minute hits them all; then what only ours promises."""
        for number in range(1, self._plan.scale.rounds + 1):
            print(f"Round {number} of {self._plan.scale.rounds}", flush=True)
            self._round(number)
        for number in range(1, self._plan.scale.own_rounds + 1):
            print(f"This server alone, {number} of {self._plan.scale.own_rounds}", flush=True)
            self._own(number)
        if "quality" in self._plan.parts:
            print("Quality", flush=True)
            self._quality()
        if self._plan.image is not None:
            print("Images", flush=True)
            self._images(self._plan.image)

    def _round(self, number: int) -> None:
        if "graph" in self._plan.parts and _OURS in self._recipes:
            self._attempt(_OURS, "bare graph", self._measures.bare_graph)
        if "peers" in self._plan.parts:
            for recipe in self._recipes.values():
                self._attempt(recipe.name, "server", self._measures.server, recipe, number)

    def _own(self, number: int) -> None:
        recipe = self._recipes.get(_OURS)
        if recipe is None:
            return
        if "lengths" in self._plan.parts:
            self._attempt(_OURS, "random lengths", self._measures.lengths, recipe, number)
        if "bulk" in self._plan.parts:
            self._attempt(_OURS, "bulk", self._measures.bulk, recipe, number)
        if "layers" in self._plan.parts:
            self._attempt(_OURS, "HTTP layer", self._measures.overhead, recipe, number)
            bare = prepare.unobserved(self._place)
            self._attempt(_OURS, "observing", self._measures.observing, recipe, bare, number)

    def _quality(self) -> None:
        if not _PAIRS.is_file():
            self._leave_out("quality", f"there is no {_PAIRS}")
            return
        self._attempt(_OURS, "quality", self._measure_quality)

    def _measure_quality(self) -> None:
        prepare.small_artefact(self._place)
        self._measures.quality(_PAIRS)

    def _images(self, reference: str) -> None:
        try:
            images.build_original(self._place)
            for name, tag in ((_OURS, reference), ("original", images.ORIGINAL)):
                self._readings.add(name, Metric.IMAGE_MB, images.size_above_base(tag) / 1e6)
        except Unavailable as error:
            self._leave_out("images", error)
            return
        containers = (
            (_OURS, images.ours(self._place, reference)),
            ("original", images.original(self._place)),
        )
        for _ in range(min(self._plan.scale.rounds, _CONTAINER_STARTS)):
            for name, recipe in containers:
                self._attempt(name, "container", self._measures.container, name, recipe)

    def _attempt(
        self, server: str, what: str, measure: Callable[..., None], *arguments: object
    ) -> None:
        """A peer that fails is left out of a round; this project's own failure is the run's."""
        try:
            measure(*arguments)
        except (ServerFailed, Unavailable) as error:
            self.failed = self.failed or server == _OURS
            self._leave_out(f"{server}, {what}", error)

    def _leave_out(self, what: str, why: object) -> None:
        self.notes.append(f"Not measured: {what}: {why}")
        say(self.notes[-1])
