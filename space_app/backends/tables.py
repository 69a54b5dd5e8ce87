"""How many tokens and positions an exported graph knows.

The engine doesn't stop at a number beyond them. It reads a row of zeros, or gives up the step
without saying so: its vectors, and those of the next step, are then left over from earlier ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import openvino as ov

from space_app.core.errors import ArtefactError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_AXIS = {"Gather": 0, "GatherElements": 1}
"""The operations that look numbers up, and the axis of the table that the numbers count along."""


@dataclass(frozen=True)
class Tables:
    """`tokens` is the size of the vocabulary, `positions` the length of the longest text."""

    tokens: int
    positions: int

    @classmethod
    def read(cls, graph: Path) -> Tables:
        """Read them from a graph's file.

        Raises:
            ArtefactError: the graph has no such tables.
            RuntimeError: the engine can't read it.
        """
        model = ov.Core().read_model(str(graph))
        try:
            return cls(min(_sizes(model, "ids")), min(_sizes(model, "position")))
        except ValueError as error:
            raise ArtefactError(
                f"{graph} has no table of tokens or of positions.",
                cause="Another program made it.",
                next_step="Export the model again.",
            ) from error


def _sizes(model: ov.Model, name: str) -> Iterator[int]:
    """Of each table that the numbers of an input are looked up in."""
    todo = [(model.input(name).get_node(), 0)]
    for node, added in todo:
        for reader in (each for output in node.outputs() for each in output.get_target_inputs()):
            found = reader.get_node()
            kind = found.get_type_name()
            if kind == "Convert":
                todo.append((found, added))
            elif kind == "Add":
                todo.append((found, added + _constant(found)))
            elif kind in _AXIS and reader.get_index() == 1:
                rows = found.input(0).get_partial_shape()[_AXIS[kind]]
                yield rows.get_length() - added


def _constant(add: ov.Node) -> int:
    """The number that an addition adds."""
    sources = (each.get_source_output().get_node() for each in add.inputs())
    (constant,) = (source for source in sources if source.get_type_name() == "Constant")
    return int(constant.data.item())
