"""Reads the package manager and the repositories of a profile from a build_root.kiwi.

KIWI itself validates the file; only these elements are read here (https://osinside.github.io/kiwi, image description).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from cloud_builder.errors import Permanent


@dataclass(frozen=True)
class RepositoryElement:
    """A <repository> element. `distribution` empty: a flat repository."""

    alias: str
    uri: str
    distribution: str = ""
    components: str = "main"
    trusted: bool = False
    """The description allows that signatures are not checked."""


@dataclass(frozen=True)
class Description:
    package_manager: str
    repositories: tuple[RepositoryElement, ...]


def read(file: Path, profile: str) -> Description:
    """Returns the description for a profile. Raises Permanent (`root`) for malformed XML or an unknown profile."""
    return parse(file.read_bytes(), profile, name=file.name)


def parse(content: bytes, profile: str, *, name: str = "build_root.kiwi") -> Description:
    """Returns the same as `read`, from the content of the file. `name` is used in messages."""
    try:
        image = ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError) as cause:
        raise Permanent(f"{name}: not well-formed XML: {cause}", code="root") from cause
    profiles = [one.get("name", "") for one in image.findall("profiles/profile")]
    if profile not in profiles:
        known = ", ".join(profiles) or "none"
        hint = f'Add <profile name="{profile}" …/> to it. It has: {known}.'
        raise Permanent(f"{name} has no profile {profile}", code="root", hint=hint)
    managers = [one.text or "" for one in _of_profile(image, "preferences", profile, "packagemanager")]
    return Description(managers[0].strip() if managers else "", tuple(_repositories(image, profile)))


def _repositories(image: ElementTree.Element, profile: str) -> Iterator[RepositoryElement]:
    for number, element in enumerate(_of_profile(image, "repository", profile)):
        source = element.find("source")
        if source is not None:
            yield RepositoryElement(
                alias=element.get("alias", f"repository-{number}"),
                uri=source.get("path", ""),
                distribution=element.get("distribution", ""),
                components=element.get("components", "main"),
                trusted=element.get("repository_gpgcheck", "false") != "true",
            )


def _of_profile(image: ElementTree.Element, tag: str, profile: str, child: str = "") -> Iterator[ElementTree.Element]:
    """Yields the elements of a profile. Elements without `profiles` belong to every profile."""
    for element in image.findall(tag):
        named = element.get("profiles")
        if named is None or profile in [one.strip() for one in named.split(",")]:
            yield from element.findall(child) if child else (element,)
