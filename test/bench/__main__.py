"""`make bench`: every figure of ours beside its baseline, measured in the same run.

    PYTHONPATH=test python -m bench [PART…] [--scale F]

Parts: dispatch package root cli footprint idle load restart plan simulate.

Prints a table and writes build/bench/latest.json. A part that cannot run here says so in a line and is left out."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from importlib import import_module
from pathlib import Path

from bench.figures import Figure, table, write
from bench.processes import Skipped

PARTS = ("cli", "footprint", "idle", "dispatch", "load", "root", "package", "restart", "plan", "simulate")
LATEST = Path(__file__).parents[2] / "build" / "bench" / "latest.json"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; default: all")
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of jobs and samples (default 1)")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"not a part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    figures, failed = [], []
    for part in PARTS if not arguments.parts else arguments.parts:
        found = _measure(part, arguments.scale)
        figures += found or []
        failed += [part] if found is None else []
    print(table(figures))
    write(LATEST, figures)
    print(f"\nwritten to {LATEST.relative_to(Path.cwd()) if LATEST.is_relative_to(Path.cwd()) else LATEST}")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _measure(part: str, scale: float) -> list[Figure] | None:
    """Returns the figures of a part; None if it failed, without those measured before the failure."""

    def progress(text: str) -> None:
        print(f"{part}: {text}", file=sys.stderr, flush=True)

    started = time.monotonic()
    figures: list[Figure] = []
    try:
        for one in import_module(f"bench.{part}").measure(progress, scale):
            progress(f"{one.name} {one.value:.4g} {one.unit}")
            figures.append(one)
    except Skipped as why:
        progress(f"left out: {why}")
    except Exception:
        traceback.print_exc()
        return None
    progress(f"took {time.monotonic() - started:.0f} s")
    return figures


if __name__ == "__main__":
    sys.exit(main())
