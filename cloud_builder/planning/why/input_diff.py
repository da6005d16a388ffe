"""Which inputs of a job are not what they were when its unit was last built well, and who changed them.

In go the job and what is known; out come the differences, the one that people know best (files) first. Equal inputs of
a job that was asked for again after a failure are a reason, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cloud_builder.model.inputs import Inputs, UsedArtifact
from cloud_builder.model.text import duration, first_few

from .cause import Detail, Difference, DifferenceKind
from .facts import FactSource, JobFacts, PastBuild
from .formatting import ago, comma_list, short

MOST_DEPTH = 4
"""How far back the cause of a changed dependency is told."""


def differences(job: JobFacts, known: FactSource, depth: int = MOST_DEPTH) -> tuple[Difference, ...]:
    """Why a job is not the same as the last one that ended well. Empty: nothing is different as far as we know."""
    last, bad = known.last_good(job), known.last_bad(job)
    again = _again(job, bad) if bad and (last is None or bad.at > last.at) else ()
    if last is None:
        return (*again, Difference(kind=DifferenceKind.NEVER, text="never built before"))
    inputs = job.inputs or _inputs_of_origin(job, known)
    if inputs is None or last.inputs is None:
        return (*again, *_by_key(job, last))
    return (*again, *_compared(job, last.inputs, inputs, known, depth))


def _again(job: JobFacts, bad: PastBuild) -> tuple[Difference, ...]:
    same = job.input_key is not None and job.input_key == bad.input_key
    told = f"it ended in {bad.outcome} the last time ({bad.job_id})"
    if not same:
        return ()
    text = f"asked for again with the same inputs: {told}"
    return (Difference(kind=DifferenceKind.AGAIN, text=text, job_id=bad.job_id, request_id=bad.request_id),)


def _inputs_of_origin(job: JobFacts, known: FactSource) -> Inputs | None:
    """A job that was not built has the inputs of the one whose output it took over."""
    origin = known.job(job.reused_from) if job.reused_from else None
    return origin.inputs if origin and origin.input_key == job.input_key else None


def _by_key(job: JobFacts, last: PastBuild) -> tuple[Difference, ...]:
    """Older events told the input key and not what it is made of."""
    if job.input_key is None or last.input_key is None or job.input_key == last.input_key:
        return ()
    moved = f", between {short(last.revision)} and {short(job.revision)}" if last.revision != job.revision else ""
    text = f"its inputs changed since {last.job_id}{moved} (which ones was not told)"
    return (Difference(kind=DifferenceKind.UNKNOWN, text=text, job_id=last.job_id, request_id=last.request_id),)


def _compared(job: JobFacts, old: Inputs, new: Inputs, known: FactSource, depth: int) -> Iterator[Difference]:
    if old.tree != new.tree:
        yield _files(job, old, new, known)
    yield from _dependencies(job, old.dependencies, new.dependencies, known, depth)
    changed = (
        (DifferenceKind.BUILDROOT, "its buildroot description", short(old.buildroot), short(new.buildroot)),
        (
            DifferenceKind.REPOSITORIES,
            "the package repositories of its buildroot",
            short(old.repositories),
            short(new.repositories),
        ),
        (DifferenceKind.PROFILES, "its build profiles", " ".join(old.profiles), " ".join(new.profiles)),
        (DifferenceKind.RECIPE, "the recipe of the runners", str(old.recipe), str(new.recipe)),
    )
    for kind, what, before, after in changed:
        if before != after:
            yield Difference(kind=kind, text=f"{what} changed: {before or 'none'} → {after or 'none'}")


def _files(job: JobFacts, old: Inputs, new: Inputs, known: FactSource) -> Difference:
    pushed = known.pushed(job.source, job.unit, old.tree, new.tree)
    if pushed is None or not pushed.files:
        where = f" at {short(pushed.revision if pushed else job.revision)}"
        text = f"files of {job.unit} changed{where} (tree {old.tree[:10]} → {new.tree[:10]})"
        return Difference(kind=DifferenceKind.FILES, text=text)
    rest = f" and {pushed.more} more" if pushed.more else ""
    partly = "" if pushed.complete else ", and perhaps others before"
    text = f"files of {job.unit} changed at {short(pushed.revision)}: {first_few(pushed.files, 3)}{rest}{partly}"
    lines = pushed.files if len(pushed.files) > 3 else ()
    return Difference(kind=DifferenceKind.FILES, text=text, lines=lines)


def _dependencies(
    job: JobFacts, old: Iterable[UsedArtifact], new: Iterable[UsedArtifact], known: FactSource, depth: int
) -> Iterator[Difference]:
    before, after = {used.name: used for used in old}, {used.name: used for used in new}
    for name in sorted(before.keys() | after.keys()):
        was, used = before.get(name), after.get(name)
        if used is None:
            yield Difference(kind=DifferenceKind.DEPENDENCY, text=f"{name} is no longer among what it builds with")
        elif was is None:
            told = f"{name} is new among what it builds with"
            yield _made(told, used, known.made(used, job.target.name), known, depth)
        elif was.sha256 != used.sha256:
            told = f"{name} changed: {was.sha256[:10]} → {used.sha256[:10]}"
            yield _made(told, used, known.made(used, job.target.name), known, depth)


def _made(told: str, used: UsedArtifact, maker: PastBuild | None, known: FactSource, depth: int) -> Difference:
    """A changed dependency, by whom it was made, and what had changed there."""
    if maker is None:
        unit = f", built from {used.source}:{used.unit}" if used.unit else ""
        return Difference(kind=DifferenceKind.DEPENDENCY, text=told + unit)
    where = f", made by {used.unit} ({maker.job_id})"
    built = known.job(maker.job_id) if depth > 1 else None
    behind = tuple(f"{built.unit}: {one.text}" for one in differences(built, known, depth - 1)) if built else ()
    return Difference(
        kind=DifferenceKind.DEPENDENCY,
        text=told + where,
        lines=behind,
        job_id=maker.job_id,
        request_id=maker.request_id,
    )


def summary(found: tuple[Difference, ...]) -> str:
    """The differences in a line; empty when there are none."""
    if not found:
        return ""
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return found[0].text + more


def details(found: tuple[Difference, ...], most: int = 8) -> tuple[Detail, ...]:
    """All differences, each with what is behind it."""
    if not found:
        return ()
    lines = [line for one in found[:most] for line in (one.text, *(f"  {line}" for line in one.lines))]
    more = [f"and {len(found) - most} more"] if len(found) > most else []
    return (Detail(label="because", lines=(*lines, *more)),)


def triggered_by(job: JobFacts, known: FactSource, now: float) -> tuple[Detail, ...]:
    """The push or the person that began it."""
    request = known.request(job.request_id)
    if request is None:
        return (Detail(label="request", lines=(job.request_id,)),)
    if request.origin == "push":
        who = f"push of {short(request.revision)} to {request.ref or 'the followed branch'}"
    else:
        who = f"asked for by {request.requester or request.origin} at {short(request.revision)}"
    when = ago(request.accepted_at, now)
    return (Detail(label="request", lines=(comma_list(f"{request.request_id}: {who}", when),)),)


def last_success(job: JobFacts, known: FactSource, now: float) -> tuple[Detail, ...]:
    """When the unit was last built well, and how long that took. Nothing, when it never was."""
    last = known.last_good(job)
    if last is None:
        return ()
    took = f"took {duration(last.seconds)}" if last.seconds else ""
    line = comma_list(f"{last.job_id} at {short(last.revision)}", ago(last.at, now), took)
    return (Detail(label="last good", lines=(line,)),)
