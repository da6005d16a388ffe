"""Why of repositories, packages and deleted units: builds that are held back, packages that stay."""

from __future__ import annotations

from typing import Any

from cloud_builder.model import events as e
from cloud_builder.model.outcome import Outcome, RequestOutcome
from cloud_builder.model.repository import HeldBuild, KeptPackage
from support import factories
from support.info_history import NEW, OLD, InfoHistory, lines, revised, unit

NAME = "demo-bookworm"
HELD = HeldBuild(
    unit="packages/lib",
    target="bookworm.x86_64",
    job_id="r.1",
    packages=("lib 2",),
    reason="app 1 of packages/app, which is published, needs lib (= 1)",
    waits_for="packages/app",
)
KEPT = KeptPackage(package="lib1", version="1", unit="packages/lib", reason="app 1 of packages/app needs it")


def published(**fields: Any) -> e.RepositoryPublished:
    defaults = {"repository": NAME, "snapshot": "000001-a", "url": "u", "jobs": (), "packages": 2, "at": 990.0}
    return e.RepositoryPublished(**{**defaults, **fields})


def held_history() -> InfoHistory:
    history = InfoHistory().accept().finished(Outcome.SUCCESS, publish=True, repository=NAME)
    history.finished(Outcome.FAILURE, "r.2", "app", message="does not build: x")
    return history.apply(published(held=(HELD,), kept=(KEPT,)))


def test_repository_names_held_builds_and_kept_packages() -> None:
    held, kept = held_history().why(NAME)
    assert (held["kind"], held["unit"], held["root"]["job_id"]) == ("held-back", "packages/lib", "r.2")
    assert held["answer"] == f"built, and held back from {NAME}: {HELD.reason}"
    assert (kept["kind"], kept["answer"]) == ("kept", f"lib1 1 stays in {NAME}: {KEPT.reason}")


def test_package_names_why_it_is_held_or_kept() -> None:
    history = held_history()
    assert history.one("lib1")["kind"] == "kept"
    assert [cause["kind"] for cause in history.why("packages/lib")] == ["held-back", "kept", "built"]


def test_package_of_another_name_leads_to_its_unit() -> None:
    history = (
        InfoHistory().apply(revised(NEW, factories.unit("lib", provides=("lib-dev",), path="packages/lib"))).accept()
    )
    history.finished(Outcome.SUCCESS)
    assert history.one("lib-dev")["unit"] == "packages/lib"


def test_repository_without_held_builds_is_published() -> None:
    cause = InfoHistory().apply(published()).one(NAME)
    assert (cause["kind"], "nothing is held back" in cause["answer"]) == ("published", True)


def test_finished_request_names_the_builds_that_were_held() -> None:
    history = held_history()
    history.apply(
        e.RequestFinished(
            request_id="r", source="demo", outcome=RequestOutcome.SUCCESS, finished_at=995.0, held=(HELD,)
        )
    )
    assert lines(history.one("r"), "held back") == [f"packages/lib for bookworm.x86_64: {HELD.reason}"]


def test_deleted_unit_names_the_commit_until_it_is_back() -> None:
    history = InfoHistory().apply(revised(OLD, unit("lib", "t1")), revised(NEW))
    cause = history.one("packages/lib")
    assert (cause["kind"], NEW[:12] in cause["answer"]) == ("deleted-unit", True)
    assert history.apply(revised(OLD, unit("lib", "t1"))).one("packages/lib")["kind"] == "never-asked"
