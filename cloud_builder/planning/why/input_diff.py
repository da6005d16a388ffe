"""Which inputs of a job changed since the last success of its unit, and which push or job changed them.

Output: the differences, files first, because people know them best. A job that was requested again after a failure
with the same inputs has that as a difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cloud_builder.model.inputs import Inputs, UsedArtifact
from cloud_builder.model.text import duration, first_few

from .cause import Detail, Difference, DifferenceKind
from .facts import FactSource, JobFacts, PastBuild
from .formatting import ago, comma_list, short

MAX_DEPTH = 4
"""How many dependencies deep the cause of a change is followed."""
UNKNOWN_CHANGE = "it is not known what changed"


def differences(job: JobFacts, facts: FactSource, depth: int = MAX_DEPTH) -> tuple[Difference, ...]:
    """Returns what differs from the last success; empty: no difference is known."""
    last, failed = facts.last_success(job), facts.last_failure(job)
    again = _again(job, failed) if failed and (last is None or failed.at > last.at) else ()
    if job.is_forced:
        again = (Difference(kind=DifferenceKind.FORCED, text="requested with --force"),)
    if last is None:
        return (*again, Difference(kind=DifferenceKind.NEVER, text="never built before"))
    inputs = job.inputs or _inputs_of_origin(job, facts)
    if inputs is None or last.inputs is None:
        return (*again, *_by_key(job, last))
    return (*again, *_compared(job, last.inputs, inputs, facts, depth))


def _again(job: JobFacts, failed: PastBuild) -> tuple[Difference, ...]:
    if job.input_key is None or job.input_key != failed.input_key:
        return ()
    text = f"requested again with the same inputs: it ended in {failed.outcome} the last time ({failed.job_id})"
    return (Difference(kind=DifferenceKind.AGAIN, text=text, job_id=failed.job_id, request_id=failed.request_id),)


def _inputs_of_origin(job: JobFacts, facts: FactSource) -> Inputs | None:
    """Returns the inputs of the job whose output is used, for a job that was not built."""
    origin = facts.job(job.reused_from) if job.reused_from else None
    return origin.inputs if origin and origin.input_key == job.input_key else None


def _by_key(job: JobFacts, last: PastBuild) -> tuple[Difference, ...]:
    """Compares input keys only: older events do not have the inputs."""
    if job.input_key is None or last.input_key is None or job.input_key == last.input_key:
        return ()
    revisions = f", between {short(last.revision)} and {short(job.revision)}" if last.revision != job.revision else ""
    text = f"its inputs changed since {last.job_id}{revisions} (which ones is not known)"
    return (Difference(kind=DifferenceKind.UNKNOWN, text=text, job_id=last.job_id, request_id=last.request_id),)


def _compared(job: JobFacts, old: Inputs, new: Inputs, facts: FactSource, depth: int) -> Iterator[Difference]:
    if old.tree != new.tree:
        yield _files(job, old, new, facts)
    yield from _dependencies(job, old.dependencies, new.dependencies, facts, depth)
    changed = (
        (DifferenceKind.BUILDROOT, "its build root description", short(old.buildroot), short(new.buildroot)),
        (
            DifferenceKind.REPOSITORIES,
            "the package repositories of its build root",
            short(old.repositories),
            short(new.repositories),
        ),
        (DifferenceKind.PROFILES, "its build profiles", " ".join(old.profiles), " ".join(new.profiles)),
        (
            DifferenceKind.BUILD_OPTIONS,
            "its build options",
            " ".join(old.build_options),
            " ".join(new.build_options),
        ),
        (DifferenceKind.RECIPE, "the recipe of the runners", str(old.recipe), str(new.recipe)),
    )
    for kind, what, before, after in changed:
        if before != after:
            yield Difference(kind=kind, text=f"{what} changed: {before or 'none'} → {after or 'none'}")


def _files(job: JobFacts, old: Inputs, new: Inputs, facts: FactSource) -> Difference:
    pushed = facts.pushed_changes(job.source, job.unit, old.tree, new.tree)
    if pushed is None or not pushed.files:
        where = f" at {short(pushed.revision if pushed else job.revision)}"
        text = f"files of {job.unit} changed{where} (tree {old.tree[:10]} → {new.tree[:10]})"
        return Difference(kind=DifferenceKind.FILES, text=text)
    more = f" and {pushed.more} more" if pushed.more else ""
    incomplete = "" if pushed.complete else ", and perhaps others in earlier pushes"
    text = f"files of {job.unit} changed at {short(pushed.revision)}: {first_few(pushed.files, 3)}{more}{incomplete}"
    lines = pushed.files if len(pushed.files) > 3 else ()
    return Difference(kind=DifferenceKind.FILES, text=text, lines=lines)


def _dependencies(
    job: JobFacts, old: Iterable[UsedArtifact], new: Iterable[UsedArtifact], facts: FactSource, depth: int
) -> Iterator[Difference]:
    before, after = {used.name: used for used in old}, {used.name: used for used in new}
    for name in sorted(before.keys() | after.keys()):
        old_used, used = before.get(name), after.get(name)
        if used is None:
            yield Difference(kind=DifferenceKind.DEPENDENCY, text=f"{name} is no longer a dependency")
        elif old_used is None:
            build = facts.build_of(used, job.target.name)
            yield _new_dependency(f"{name} is a new dependency", used, build, facts, depth)
        elif old_used.sha256 != used.sha256:
            text = f"{name} changed: {old_used.sha256[:10]} → {used.sha256[:10]}"
            yield _new_dependency(text, used, facts.build_of(used, job.target.name), facts, depth)


def _new_dependency(
    text: str, used: UsedArtifact, build: PastBuild | None, facts: FactSource, depth: int
) -> Difference:
    """Returns a changed dependency, the job that built it, and what had changed for that job."""
    if build is None:
        unit = f", built from {used.source}:{used.unit}" if used.unit else ""
        return Difference(kind=DifferenceKind.DEPENDENCY, text=text + unit)
    job = facts.job(build.job_id) if depth > 1 else None
    behind = tuple(f"{job.unit}: {cause.text}" for cause in differences(job, facts, depth - 1)) if job else ()
    return Difference(
        kind=DifferenceKind.DEPENDENCY,
        text=f"{text}, built by {used.unit} ({build.job_id})",
        lines=behind,
        job_id=build.job_id,
        request_id=build.request_id,
    )


def summary(found: tuple[Difference, ...]) -> str:
    """Returns the differences in one line; empty if there are none."""
    if not found:
        return ""
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return found[0].text + more


def details(found: tuple[Difference, ...], most: int = 8) -> tuple[Detail, ...]:
    """Returns all differences, each with what is behind it."""
    if not found:
        return ()
    lines = [
        line
        for difference in found[:most]
        for line in (difference.text, *(f"  {behind}" for behind in difference.lines))
    ]
    more = [f"and {len(found) - most} more"] if len(found) > most else []
    return (Detail(label="because", lines=(*lines, *more)),)


def triggered_by(job: JobFacts, facts: FactSource, now: float) -> tuple[Detail, ...]:
    """Returns the push or the person that requested the job."""
    request = facts.request(job.request_id)
    if request is None:
        return (Detail(label="request", lines=(job.request_id,)),)
    if request.origin == "push":
        origin = f"push of {short(request.revision)} to {request.ref or 'the followed branch'}"
    else:
        origin = f"requested by {request.requester or request.origin} at {short(request.revision)}"
    when = ago(request.accepted_at, now)
    return (Detail(label="request", lines=(comma_list(f"{request.request_id}: {origin}", when),)),)


def last_success(job: JobFacts, facts: FactSource, now: float) -> tuple[Detail, ...]:
    """Returns the last success of the unit, and how long it took; empty if there was none."""
    last = facts.last_success(job)
    if last is None:
        return ()
    took = f"took {duration(last.seconds)}" if last.seconds else ""
    line = comma_list(f"{last.job_id} at {short(last.revision)}", ago(last.at, now), took)
    return (Detail(label="last good", lines=(line,)),)
