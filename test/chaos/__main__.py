"""`make chaos`: the mesh with random faults, one seed after another. A failing seed prints its schedule.

Without make: `PYTHONPATH=test .venv/bin/python -m chaos --short`.

--seeds N      how many, from --first on
--seed N       this one alone
--jobs N       units in the tree, each at least one job (20)
--seconds N    how long requests and faults come
--short        one seed that has every kind of fault; how long a recovery takes is reported and has no limit
--real         packages are really built; root's privilege
--dispatch D   directed (default) or shared-queue
--ha           two schedulers, of which one leads
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from chaos.check import Made
from chaos.cluster import Abilities, Cluster
from chaos.faults import SHORT, SHORT_HA, Act, Kind, schedule
from chaos.run import RECOVERY_LIMIT, SUCCESSION_LIMIT, Report, Run
from chaos.source_tree import SOURCE, SourceTree
from chaos.variant import RunVariant
from cloud_builder.model.dispatch import Dispatch


def main() -> int:
    arguments = _parser().parse_args()
    abilities, variant = Abilities.found(), RunVariant(arguments.real, arguments.dispatch, arguments.ha)
    for lack in abilities.missing():
        print(f"left out: {lack}")
    seeds = _seeds(arguments, abilities, variant)
    with tempfile.TemporaryDirectory(prefix="cb-chaos-tree-", dir="/var/tmp") as directory:
        tree = SourceTree(Path(directory) / "source", arguments.jobs, real=arguments.real)
        arena = Arena(tree, abilities, variant, arguments.seconds, timed=not arguments.short)
        quiet = arena.quiet()
        bad: list[int] = []
        reports: list[Report] = []
        for seed in seeds:
            report = arena.seed(seed, quiet)
            reports.append(report)
            bad += [seed] if report.wrong else []
    _sum_up(len(seeds), bad, reports)
    return 1 if bad else 0


def _seeds(arguments: argparse.Namespace, abilities: Abilities, variant: RunVariant) -> list[int]:
    if arguments.short:
        short = SHORT_HA if variant.ha else SHORT
        kinds = {act.kind for act in schedule(short, abilities, arguments.seconds, variant)}
        if abilities.disks and kinds != set(Kind):
            sys.exit(f"seed {short} has no {', '.join(set(Kind) - kinds)}: choose another one (faults.py)")
        return [short]
    return (
        [arguments.seed]
        if arguments.seed is not None
        else list(range(arguments.first, arguments.first + arguments.seeds))
    )


@dataclass(frozen=True)
class Arena:
    """The settings that all runs share."""

    tree: SourceTree
    abilities: Abilities
    variant: RunVariant
    seconds: float
    timed: bool

    def quiet(self) -> Made:
        """Returns the artifacts of a run without faults."""
        report = self._played([], None, requests=self.variant.variants)
        if report.wrong:
            _print_report(report)
            sys.exit("even the quiet run went wrong")
        print(f"quiet run: {report.jobs} jobs, {len(report.made)} different", flush=True)
        return report.made

    def seed(self, seed: int, quiet: Made) -> Report:
        started = time.monotonic()
        acts = schedule(seed, self.abilities, self.seconds, self.variant)
        report = self._played(acts, quiet)
        verdict = "WRONG" if report.wrong else "well"
        print(
            f"seed {seed}: {verdict}; {report.jobs} jobs, {report.attempts} attempts, "
            f"recovery {report.recovery:.1f} s, {_succession(report)}{time.monotonic() - started:.0f} s in all",
            flush=True,
        )
        if report.wrong:
            print("".join(f"    {act}\n" for act in acts), end="")
            _print_report(report)
            again = f"make chaos SEED={seed} JOBS={len(self.tree.units)} DURATION={self.seconds:g}{self.variant.words}"
            print(f"  again: {again}", flush=True)
        return report

    def _played(self, acts: list[Act], quiet: Made | None, requests: tuple[str, ...] = ()) -> Report:
        cluster = Cluster(self.abilities, self.variant, self.variant.settings(SOURCE, self.tree.path))
        try:
            run = Run(cluster, self.tree, acts, quiet, settle=self.variant.settle, timed=self.timed)
            return run.go(requests)
        finally:
            cluster.close()


def _print_report(report: Report) -> None:
    for what in report.wrong[:20]:
        print(f"  ! {what}")
    if len(report.wrong) > 20:
        print(f"  ! and {len(report.wrong) - 20} more")
    if report.logs:
        print(f"  logs: {report.logs}")


def _succession(report: Report) -> str:
    return f"succession {report.succession:.1f} s, {report.epochs} epochs, " if report.epochs else ""


def _sum_up(seeds: int, bad: list[int], reports: list[Report]) -> None:
    print(f"{seeds} seeds, {len(bad)} of them wrong{': ' + ', '.join(map(str, bad)) if bad else ''}")
    for who, limit, seconds in (
        ("runner", RECOVERY_LIMIT, [report.recovery for report in reports if report.recovery]),
        ("leader", SUCCESSION_LIMIT, [report.succession for report in reports if report.succession]),
    ):
        if seconds:
            middle, worst = statistics.median(seconds), max(seconds)
            print(f"recovery after a killed {who}: median {middle:.1f} s, longest {worst:.1f} s (limit {limit:g} s)")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--real", action="store_true")
    parser.add_argument("--dispatch", type=Dispatch, choices=list(Dispatch), default=Dispatch.DIRECTED)
    parser.add_argument("--ha", action="store_true")
    parser.add_argument("--jobs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=20.0)
    return parser


if __name__ == "__main__":
    sys.exit(main())
