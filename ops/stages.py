"""The stages of a Space that mean the same to every command, by the Hub's names for them."""

from __future__ import annotations

IDLE = frozenset({"PAUSED", "SLEEPING", "STOPPED"})
"""It was stopped, costs nothing, and can be started."""

REFUSED = frozenset({"CONFIG_ERROR", "NO_APP_FILE"})
"""The Hub does not even begin to build it."""
