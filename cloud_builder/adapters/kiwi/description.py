"""Reads the package manager and the repositories of a profile from a build_root.kiwi.

KIWI itself validates the file; only these elements are read here (https://osinside.github.io/kiwi, image description).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from cloud_builder.errors import Permanent

_KEY_SCHEMES = ("this://", "file:", "/", "https://")


@dataclass(frozen=True)
class RepositoryElement:
    """A <repository> element. `distribution` empty: a flat repository."""

    alias: str
    uri: str
    distribution: str = ""
    components: str = "main"
    keys: tuple[str, ...] = ()
    """Addresses of the keys that it may be signed with; empty: the archive keys of Debian."""
    unverified: bool = False
    """True if the description says that signatures are not checked: repository_gpgcheck="false"."""


@dataclass(frozen=True)
class Description:
    package_manager: str
    repositories: tuple[RepositoryElement, ...]

    @property
    def unverified(self) -> tuple[str, ...]:
        """The addresses of the repositories whose packages are used without a check of signatures."""
        return tuple(repository.uri for repository in self.repositories if repository.unverified)


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
    for number, element in enumerate(elements_of(image, profile)):
        source = element.find("source")
        assert source is not None
        yield RepositoryElement(
            alias=element.get("alias", f"repository-{number}"),
            uri=source.get("path", ""),
            distribution=element.get("distribution", ""),
            components=element.get("components", "main"),
            keys=tuple(_safe(signing.get("key", "")) for signing in source.findall("signing")),
            unverified=element.get("repository_gpgcheck") == "false",
        )


def _safe(key: str) -> str:
    """Returns the address of a key. Raises Permanent if somebody between it and the runner could replace the key."""
    if key.startswith(_KEY_SCHEMES):
        return key
    hint = "Name it by https:, by file: on each runner, or put it beside build_root.kiwi: this://./NAME.asc."
    message = f"build_root.kiwi: anybody between the key {key or '(none)'} and a runner could replace it"
    raise Permanent(message, code="root", hint=hint)


def elements_of(image: ElementTree.Element, profile: str) -> list[ElementTree.Element]:
    """Returns the <repository> elements of a profile that have a source: those of `Description.repositories`."""
    return [element for element in _of_profile(image, "repository", profile) if element.find("source") is not None]


def _of_profile(image: ElementTree.Element, tag: str, profile: str, child: str = "") -> Iterator[ElementTree.Element]:
    """Yields the elements of a profile. Elements without `profiles` belong to every profile."""
    for element in image.findall(tag):
        named = element.get("profiles")
        if named is None or profile in [one.strip() for one in named.split(",")]:
            yield from element.findall(child) if child else (element,)
