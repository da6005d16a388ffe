"""`make chaos`: the mesh under fire, seed after seed. A failing seed prints its schedule and replays with SEED=n.

--seeds N      how many, from --first on
--seed N       this one alone
--jobs N       units in the tree, each at least one job (20)
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "kafka"))

from check import Made
from faults import schedule
from run import Report, Run, settings
from stage import Abilities, Stage
from tree import ALL, Tree

RECOVERY_LIMIT = 15.0


def main() -> int:
    said = _parser().parse_args()
    abilities = Abilities.found()
    for lack in abilities.missing():
        print(f"left out: {lack}")
    with tempfile.TemporaryDirectory(prefix="cb-chaos-tree-", dir="/var/tmp") as place:
        tree = Tree(Path(place) / "source", said.jobs)
        quiet = _quiet(tree, abilities)
        seeds = [said.seed] if said.seed is not None else range(said.first, said.first + said.seeds)
        bad, recoveries = [], []
        for seed in seeds:
            report = _seed(seed, tree, abilities, quiet, said.seconds)
            recoveries += [report.recovery] if report.recovery else []
            bad += [seed] if report.wrong else []
    _sum_up(len(list(seeds)), bad, recoveries)
    return 1 if bad else 0


def _quiet(tree: Tree, abilities: Abilities) -> Made:
    """What is made when nothing goes wrong."""
    report = _played(tree, abilities, [], None, wishes=ALL)
    if report.wrong:
        _tell(report)
        sys.exit("even the quiet run went wrong")
    print(f"quiet run: {report.jobs} jobs, {len(report.made)} different")
    return report.made


def _seed(seed: int, tree: Tree, abilities: Abilities, quiet: Made, seconds: float) -> Report:
    started = time.monotonic()
    acts = schedule(seed, abilities, seconds)
    report = _played(tree, abilities, acts, quiet)
    if report.recovery > RECOVERY_LIMIT:
        report.wrong.append(f"recovery took {report.recovery:.1f} s")
    verdict = "WRONG" if report.wrong else "well"
    print(
        f"seed {seed}: {verdict}; {report.jobs} jobs, {report.attempts} attempts, "
        f"recovery {report.recovery:.1f} s, {time.monotonic() - started:.0f} s in all",
        flush=True,
    )
    if report.wrong:
        print("".join(f"    {act}\n" for act in acts), end="")
        _tell(report)
        print(f"  again: make chaos SEED={seed} JOBS={len(tree.units)} DURATION={seconds:g}", flush=True)
    return report


def _played(tree: Tree, abilities: Abilities, acts: list, quiet: Made | None, wishes: tuple[str, ...] = ()) -> Report:
    stage = Stage(abilities, settings(tree))
    try:
        return Run(stage, tree, acts, quiet).go(wishes)
    finally:
        stage.close()


def _tell(report: Report) -> None:
    for what in report.wrong[:20]:
        print(f"  ! {what}")
    if len(report.wrong) > 20:
        print(f"  ! and {len(report.wrong) - 20} more")
    if report.logs:
        print(f"  logs: {report.logs}")


def _sum_up(seeds: int, bad: list[int], recoveries: list[float]) -> None:
    print(f"{seeds} seeds, {len(bad)} of them wrong{': ' + ', '.join(map(str, bad)) if bad else ''}")
    if recoveries:
        middle, worst = statistics.median(recoveries), max(recoveries)
        print(
            f"recovery after a killed runner: median {middle:.1f} s, longest {worst:.1f} s (limit {RECOVERY_LIMIT:g} s)"
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--jobs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=20.0)
    return parser


if __name__ == "__main__":
    sys.exit(main())
