"""A virtual package that another source has published: who asks for it is built with what provides it."""

from __future__ import annotations

import pytest
from scheduler_bench import Bench, unit


def publish(bench: Bench, name: str, tree: str, provides: str, source: str = "mail") -> None:
    """A push that builds a package which provides something."""
    bench.deliver(bench.snapshot(unit(name, tree=tree), source=source, revision=tree))
    bench.deliver(bench.request(name, id=f"{name}-{tree}", source=source, revision=tree, publish=True))
    report = bench.report(bench.holding["r1"].pop())
    [deb] = report.artifacts
    deb = deb.model_copy(update={"package": deb.package.model_copy(update={"provides": provides})})
    bench.deliver(report.model_copy(update={"artifacts": (deb,)}))


def built_with(bench: Bench, relation: str) -> list[str]:
    """The packages that a unit of another source is built with."""
    tree = str(5 + len(bench.starts))
    bench.deliver(bench.snapshot(unit("app", relation, tree=tree), source="s"))
    bench.deliver(bench.request("app", id=f"app-{tree}", source="s"))
    [order] = bench.holding["r1"]
    bench.work_off()
    return [artifact.package.name for artifact in order.dependencies]


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.deliver(*bench.heartbeats())
    publish(bench, "exim", "1", "mail-agent, smtp (= 2)")
    return bench


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize(
    ("relation", "expected"),
    [
        ("mail-agent", ["exim"]),
        ("smtp (>= 2)", ["exim"]),
        ("smtp (>= 3)", []),
        ("mail-agent (>= 1)", []),
        ("nobody | mail-agent", ["exim"]),
    ],
)
def test_it_is_found_by_what_it_provides(bench, relation, expected, restart) -> None:
    if restart:
        bench.boot()
        bench.deliver(*bench.heartbeats())
    assert built_with(bench, relation) == expected


def test_what_it_no_longer_provides_it_is_not_taken_for(bench) -> None:
    assert built_with(bench, "mail-agent") == ["exim"]
    publish(bench, "exim", "2", "smtp (= 3)")
    assert built_with(bench, "mail-agent") == []
    assert built_with(bench, "smtp (>= 3)") == ["exim"]


def test_a_package_of_that_name_goes_before_one_that_provides_it(bench) -> None:
    publish(bench, "smtp", "3", "", source="other")
    assert built_with(bench, "smtp") == ["smtp"]
    assert built_with(bench, "smtp (>= 2)") == ["exim"]


def test_what_git_has_no_more_provides_nothing(bench) -> None:
    bench.deliver(bench.snapshot(unit("other"), source="mail", revision="9"))
    assert built_with(bench, "mail-agent") == []
    assert bench.state.count("provided") == 0


def test_what_was_published_before_there_were_pointers_is_found_when_it_is_built_again(bench) -> None:
    for name in ("mail-agent", "smtp"):
        bench.state.delete("provided", f"bookworm.x86_64/{name}/exim")
    bench.boot()
    bench.deliver(*bench.heartbeats())
    publish(bench, "exim", "2", "mail-agent, smtp (= 2)")
    assert built_with(bench, "mail-agent") == ["exim"]
