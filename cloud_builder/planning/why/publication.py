"""Why a build is not published yet, or a package is still published; and that a unit was deleted."""

from __future__ import annotations

from cloud_builder.model.repository import HeldBuild, KeptPackage

from .cause import Cause, CauseKind, Detail


def why_held(repository: str, build: HeldBuild, root: Cause | None) -> Cause:
    """Returns why a build is held. `root`: the cause of the newest job of the unit that it waits for, if it failed."""
    waits_for = f" with the next build of {build.waits_for}" if build.waits_for else " when this is met"
    return Cause(
        kind=CauseKind.HELD,
        answer=f"built, and held back from {repository}: {build.reason}",
        details=(Detail(label="packages", lines=(", ".join(build.packages),)),),
        next=f"It is published{waits_for}. To publish at once all the same: the setting collector.publish_at_once.",
        job_id=build.job_id,
        unit=build.unit,
        target=build.target,
        state="held",
        root=root,
    )


def why_kept(repository: str, package: KeptPackage) -> Cause:
    """Returns why a package stays that no unit makes any longer."""
    until = f" with the next build of {package.needed_by}" if package.needed_by else ""
    return Cause(
        kind=CauseKind.KEPT,
        answer=f"{package.package} {package.version} stays in {repository}: {package.reason}",
        next=f"It leaves{until} when nothing published needs it.",
        unit=package.unit,
        target=package.package,
        state="kept",
    )


def why_repository(repository: str, snapshot: str, packages: int) -> Cause:
    """Returns the cause of a repository in which nothing is held or kept."""
    return Cause(
        kind=CauseKind.PUBLISHED,
        answer=f"snapshot {snapshot} has the packages of all newest builds ({packages}); nothing is held back",
        unit=repository,
        state="published",
    )


def why_deleted(source: str, unit: str, revision: str) -> Cause:
    """Returns the cause of a unit that its source no longer has. `revision`: the first commit without it that was
    read."""
    return Cause(
        kind=CauseKind.DELETED,
        answer=f"it was deleted, or moved: {source} no longer has it since {revision[:12]}",
        next="Its packages stay published as long as a published package needs them.",
        source=source,
        unit=unit,
        state="deleted",
    )
