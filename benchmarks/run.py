"""`make bench`: this server against its peers, on this machine, in one run.

    python benchmarks/run.py [--quick] [--only PART …] [--servers NAME …] [--image TAG]

Prints what must be reached and what was. Exits 1 when a measurement of this project's own server
failed, else 0, whether everything was reached or not.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import chart
import table
from bench import PARTS, Bench, Plan
from machine import Stolen, this_machine
from measures import FULL, QUICK
from prepare import PROJECT, RECIPES, Place, Unavailable
from readings import Readings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from machine import Machine

_FOLDER = PROJECT / "build" / "bench"
_MINUTE = 60


def main() -> int:
    """Prepare, measure, print, write; returns the exit code."""
    # So that a server is ended also when this is told to end.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options = _options()
    scale = QUICK if options.quick else FULL
    if options.rounds is not None:
        scale = replace(scale, rounds=options.rounds, own_rounds=options.rounds)
    plan = Plan(
        parts=tuple(options.only or PARTS),
        servers=tuple(options.servers or RECIPES),
        scale=scale,
        image=options.image,
    )
    machine, stolen, began = this_machine(), Stolen.now(), time.monotonic()
    _FOLDER.mkdir(parents=True, exist_ok=True)
    readings = Readings()
    bench = Bench(plan, Place(_FOLDER), readings)
    try:
        print("Preparing", flush=True)
        bench.prepare()
        bench.measure()
    except Unavailable as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted", file=sys.stderr)
        return 130
    promises = table.lines(readings)
    facts = [
        *machine.lines(),
        f"CPU time that the host gave to others: {Stolen.now().part_since(stolen):.1%}",
        f"The run took {(time.monotonic() - began) / _MINUTE:.0f} minutes."
        + " Quick: these numbers only show that it works." * options.quick,
        *bench.notes,
    ]
    print(f"\n{table.render(promises)}\n\n{table.render_servers(readings, bench.titles)}\n")
    print("\n".join(facts))
    options.json.write_text(_report(machine, promises, readings, facts), encoding="utf-8")
    chart.write(options.chart, readings, bench.titles)
    print(f"Written: {options.json}, {options.chart}")
    return int(bench.failed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a short run that shows it works")
    parser.add_argument("--rounds", metavar="N", type=int, help=f"{FULL.rounds} by default")
    parser.add_argument(
        "--only", metavar="PART", action="append", choices=PARTS, help=f"of {', '.join(PARTS)}"
    )
    parser.add_argument(
        "--servers",
        metavar="NAME",
        action="append",
        choices=list(RECIPES),
        help=f"of {', '.join(RECIPES)}; may be given several times, as --only",
    )
    parser.add_argument(
        "--image", metavar="TAG", help="also images: this project's one, as `ops build` made it"
    )
    parser.add_argument(
        "--json", metavar="FILE", type=Path, default=_FOLDER / "results.json", help="every reading"
    )
    parser.add_argument(
        "--chart", metavar="FILE", type=Path, default=_FOLDER / "results.svg", help="bars, as SVG"
    )
    return parser.parse_args()


def _report(
    machine: Machine, promises: Sequence[table.Line], readings: Readings, facts: Sequence[str]
) -> str:
    content = {
        "machine": asdict(machine),
        "promises": [asdict(line) | {"value": line.value, "met": line.met} for line in promises],
        "readings": readings.as_records(),
        "facts": list(facts),
    }
    return json.dumps(content, indent=1) + "\n"


if __name__ == "__main__":
    sys.exit(main())
