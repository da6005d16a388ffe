"""A whole mesh in memory whose builds are reproducible, and that is driven by pushes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from hashlib import sha256
from threading import Event

from cloud_builder.model import events as e
from cloud_builder.model.ids import SourceName
from support.factories import deb, unit_files
from support.memory_mesh import URL, MemoryMesh

SECONDS = 60.0
"""Reported time of every build."""


def reproducible_build(
    mesh: MemoryMesh, assignment: e.JobAssigned, log: Callable[[bytes], None], cancel: Event
) -> e.AttemptFinished:
    """Builds as a compiler does: the package depends on the text before a `#`, not on the comment behind it.

    With `!` in the text, it also contains its dependencies, as with static linking; with `?`, the number of the build.
    A word `@2` gives the version of the source; 1 without it.
    """
    report = type(mesh.builder).build(mesh.builder, assignment, log, cancel)
    if not report.artifacts:
        return report
    text = mesh.git.read(
        SourceName(assignment.source), assignment.revision, f"{assignment.directory}/content", 1000
    ).decode()
    code = text.split("#", maxsplit=1)[0].strip()
    used = [artifact.sha256 for artifact in assignment.dependencies] if "!" in code else []
    clock = str(len(mesh.builder.assignments)) if "?" in code else ""
    version = _built_version(code, assignment)
    content = f"{assignment.name} {version} amd64 {code} {used} {assignment.profiles} {clock}"
    digest = sha256(content.encode()).hexdigest()
    mesh.store.objects[digest] = content.encode()
    built_package = deb(assignment.name, version, digest=digest).model_copy(update={"size": len(content)})
    changes = {"artifacts": (built_package,), "timings": {"build": SECONDS}, "source_version": version}
    return report.model_copy(update=changes)


def _built_version(code: str, assignment: e.JobAssigned) -> str:
    version = next((word[1:] for word in code.split() if word.startswith("@")), "1")
    rebuild = assignment.rebuild
    return rebuild.built_version if rebuild is not None and rebuild.version == version else version


def mesh_with(files: dict[str, bytes], **options) -> MemoryMesh:
    mesh = MemoryMesh(files, **options)
    mesh.builder.build = partial(reproducible_build, mesh)  # type: ignore[method-assign]
    return mesh


def library(lib: str, tool: str = "1!", card: str = "1!") -> dict[str, bytes]:
    """Returns the files of lib ← tool ← card, lib ← app, lib ← doc, and of other, which needs no unit."""
    needs = {"tool": ("lib",), "card": ("tool",), "app": ("lib",), "doc": ("lib",), "other": ()}
    content = {"tool": tool, "card": card}
    found = unit_files("lib", content=lib)
    for name, names in needs.items():
        found |= unit_files(name, *names, content=content.get(name, "1!"))
    return found


def built(mesh: MemoryMesh) -> list[str]:
    """Returns the jobs that were built, in order, each once."""
    return [assignment.name + ("*" if assignment.profiles else "") for assignment in mesh.first_builds()]


def pushed(mesh: MemoryMesh, files: dict[str, bytes], url: str = URL) -> e.RequestFinished:
    """Pushes a commit, waits for its request, and returns the result."""
    mesh.builder.assignments.clear()
    count = len(mesh.events(e.RequestAccepted))
    mesh.git.repository(url).commit(files)
    mesh.until(lambda: len(mesh.events(e.RequestAccepted)) > count)
    return mesh.finished(mesh.events(e.RequestAccepted)[-1].request_id)
