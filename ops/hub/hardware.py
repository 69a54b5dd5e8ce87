"""Flavours that a Space may run on: what each has, and what it costs.

Figures: Hugging Face's Spaces documentation as of 2026-08-22.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ops.hub.errors import bad_request

_MICRO_DOLLARS = 1_000_000


@dataclass(frozen=True)
class Gpu:
    """An Nvidia accelerator; `memory_gb` is that of all of them together."""

    model: str
    quantity: int
    memory_gb: int


@dataclass(frozen=True)
class Flavour:
    """What one container has; `dollars` per hour."""

    name: str
    title: str
    vcpu: int
    memory_gb: int
    dollars: float
    gpu: Gpu | None = None


FLAVOURS = {
    flavour.name: flavour
    for flavour in (
        Flavour("cpu-basic", "CPU basic", 2, 16, 0),
        Flavour("cpu-upgrade", "CPU upgrade", 8, 32, 0.03),
        Flavour("t4-small", "Nvidia T4 - small", 4, 15, 0.40, Gpu("T4", 1, 16)),
        Flavour("t4-medium", "Nvidia T4 - medium", 8, 30, 0.60, Gpu("T4", 1, 16)),
        Flavour("l4x1", "1x Nvidia L4", 8, 30, 0.80, Gpu("L4", 1, 24)),
        Flavour("l4x4", "4x Nvidia L4", 48, 186, 3.80, Gpu("L4", 4, 96)),
        Flavour("l40sx1", "1x Nvidia L40S", 8, 62, 1.80, Gpu("L40S", 1, 48)),
        Flavour("l40sx4", "4x Nvidia L40S", 48, 382, 8.30, Gpu("L40S", 4, 192)),
        Flavour("l40sx8", "8x Nvidia L40S", 192, 1534, 23.50, Gpu("L40S", 8, 384)),
        Flavour("a10g-small", "Nvidia A10G - small", 4, 15, 1.00, Gpu("A10G", 1, 24)),
        Flavour("a10g-large", "Nvidia A10G - large", 12, 46, 1.50, Gpu("A10G", 1, 24)),
        Flavour("a10g-largex2", "2x Nvidia A10G - large", 24, 92, 3.00, Gpu("A10G", 2, 48)),
        Flavour("a10g-largex4", "4x Nvidia A10G - large", 48, 184, 5.00, Gpu("A10G", 4, 96)),
        Flavour("a100-large", "Nvidia A100 - large", 12, 142, 2.50, Gpu("A100", 1, 80)),
        Flavour("a100x4", "4x Nvidia A100", 48, 568, 10.00, Gpu("A100", 4, 320)),
        Flavour("a100x8", "8x Nvidia A100", 96, 1136, 20.00, Gpu("A100", 8, 640)),
    )
}


def known_hardware(name: Any) -> str:
    """The name of a flavour; raises HubError when there is none of that name."""
    if not isinstance(name, str) or name not in FLAVOURS:
        raise bad_request(f'"hardware" must be one of [{", ".join(FLAVOURS)}]')
    return name


def listing() -> list[dict[str, Any]]:
    """The body of GET /api/spaces/hardware."""
    return [
        {
            "name": flavour.name,
            "prettyName": flavour.title,
            "cpu": f"{flavour.vcpu} vCPU",
            "ram": f"{flavour.memory_gb} GB",
            "accelerator": _accelerator(flavour.gpu) if flavour.gpu is not None else None,
            "unitCostMicroUSD": round(flavour.dollars / 60 * _MICRO_DOLLARS),
            "unitCostUSD": flavour.dollars / 60,
            "unitLabel": "minute",
        }
        for flavour in FLAVOURS.values()
    ]


def _accelerator(gpu: Gpu) -> dict[str, str]:
    return {
        "type": "gpu",
        "model": gpu.model,
        "quantity": str(gpu.quantity),
        "vram": f"{gpu.memory_gb} GB",
        "manufacturer": "Nvidia",
    }
