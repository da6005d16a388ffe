"""A figure beside its baseline, measured in the same run: what every part of the benchmark returns."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """A figure: seconds, a rate per second, or MB. `value` and `baseline` are medians of their runs."""

    name: str
    value: float
    unit: str
    baseline: float | None = None
    baseline_name: str = ""
    runs: tuple[float, ...] = ()

    @property
    def ratio(self) -> float | None:
        return round(self.value / self.baseline, 3) if self.baseline else None

    def as_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "value": _short(self.value),
            "unit": self.unit,
            "baseline": None if self.baseline is None else _short(self.baseline),
            "baseline_name": self.baseline_name,
            "ratio": self.ratio,
            "runs": [_short(run) for run in self.runs],
        }


def figure(
    name: str, runs: Sequence[float], unit: str, baseline: Sequence[float] = (), baseline_name: str = ""
) -> Figure:
    """Returns the median of the runs, and that of the baseline's runs; without these, `baseline_name` says why."""
    base = statistics.median(baseline) if baseline else None
    return Figure(name, statistics.median(runs), unit, base, baseline_name, tuple(runs))


def percentile(values: Sequence[float], part: float) -> float:
    """Returns the value that `part` (0 to 1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def table(figures: Sequence[Figure]) -> str:
    """Returns the figures as a table for people."""
    rows = [("figure", "value", "unit", "baseline", "of", "ratio")]
    for one in figures:
        base = "-" if one.baseline is None else f"{one.baseline:.4g}"
        ratio = "-" if one.ratio is None else f"{one.ratio:.3g}"
        rows.append((one.name, f"{one.value:.4g}", one.unit, base, one.baseline_name or "-", ratio))
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def write(path: Path, figures: Sequence[Figure]) -> None:
    """Replaces the figures of this run in the file; those of parts that did not run stay."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = {one.name: one.as_json() for one in figures}
    kept = [
        row for row in _read(path) if row["name"] not in fresh and _key(row) not in {_key(r) for r in fresh.values()}
    ]
    path.write_text(json.dumps([*kept, *fresh.values()], indent=1) + "\n")


def _read(path: Path) -> list[dict[str, object]]:
    return list(json.loads(path.read_text())) if path.exists() else []


def _key(row: dict[str, object]) -> tuple[object, object]:
    return row["name"], row["baseline_name"]


def _short(number: float) -> float:
    return float(f"{number:.5g}")
