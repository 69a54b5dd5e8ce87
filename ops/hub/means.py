"""What every Space of a Hub works with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ops.hub.faults import Faults
    from ops.hub.slots import Slots
    from ops.hub.store import Store
    from ops.runner import Runner


@dataclass(frozen=True)
class Means:
    """`build_args` are given to every build."""

    store: Store
    runner: Runner
    build_args: Mapping[str, str]
    faults: Faults
    slots: Slots
