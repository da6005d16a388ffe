"""Collects the keys that the package repositories of a description are checked against.

Input: a description, and the directory that it is in. Output: a copy of each key, and a description for KIWI that names
the copies. A repository without a key of its own is checked against the archive keys of Debian that this machine has.
Only https, the machine and the unit may provide a key: over http anybody in between can replace it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from urllib.error import URLError
from urllib.request import urlopen
from xml.etree import ElementTree

from cloud_builder.errors import Permanent, Retryable

from .description import Description, RepositoryElement, elements_of

DEBIAN = "/usr/share/keyrings/debian-archive-keyring.gpg"
BESIDE = "this://"
"""The scheme of KIWI for a file beside the description."""
_TIMEOUT = 30.0
_MAX_BYTES = 4 * 1024 * 1024
_ARMORED = b"-----BEGIN PGP PUBLIC KEY BLOCK-----"
_PUBLIC_KEY = 6
"""The tag of an OpenPGP packet with a public key (RFC 9580, section 5)."""

_NARROW = r"""
case $1 in *.sources) ;; *) exit 0;; esac
for number in {numbers}; do keys="$keys $(echo /etc/apt/keyrings/kiwi-*-$number.*)"; done
sed -i "s|^Signed-By:.*|Signed-By:$keys|" "$1"
"""
"""A script that KIWI calls with each file that it has written for a repository. KIWI numbers keys in their order."""

Fetch = Callable[[str], bytes]


def fetch(url: str) -> bytes:
    """Returns a key. Raises OSError, URLError among them, when it cannot be read."""
    with urlopen(url, timeout=_TIMEOUT) as answer:
        return bytes(answer.read(_MAX_BYTES))


def names_beside(description: Description) -> tuple[str, ...]:
    """Returns the keys that are files beside the description, relative to it. Raises Permanent for a path elsewhere."""
    keys = [key for repository in description.repositories for key in repository.keys]
    return tuple(dict.fromkeys(_relative(key) for key in keys if key.startswith(BESIDE)))


def read_beside(directory: Path, name: str) -> bytes:
    """Returns a key that is beside the description; empty if there is no such file, which `collect` reports."""
    path = directory / name
    return path.read_bytes()[:_MAX_BYTES] if path.is_file() else b""


def collect(
    description: Description, directory: Path, into: Path, *, fetch: Fetch = fetch
) -> tuple[tuple[Path, ...], ...]:
    """Copies the keys to the directory `into`; returns the copies for each repository, none for an unverified one.

    A copy's suffix is that which apt expects: .asc when it is armored, else .gpg (sources.list(5), Signed-By).
    Raises Permanent (`root`) for a key that cannot be used, Retryable when it cannot be fetched now."""
    copies: dict[str, Path] = {}
    for repository in description.repositories:
        for key in _keys(repository):
            if key not in copies:
                content = _read(repository, key, directory, fetch)
                suffix = "asc" if _ARMORED in content else "gpg"
                copies[key] = into / f"cloud-builder-{len(copies)}.{suffix}"
                copies[key].write_bytes(content)
    return tuple(tuple(copies[key] for key in _keys(repository)) for repository in description.repositories)


def localized(content: bytes, profile: str, keys: tuple[tuple[Path, ...], ...], scripts: Path) -> bytes:
    """Returns the description with the copies in place of the keys that it names; `keys`: the result of `collect`.

    KIWI accepts the keys of all repositories for each of them. A script for each repository, written to the directory
    `scripts`, narrows that down to its own keys."""
    copies = list(dict.fromkeys(key for own in keys for key in own))
    builder = ElementTree.TreeBuilder(insert_comments=True, insert_pis=True)
    image = ElementTree.fromstring(content, ElementTree.XMLParser(target=builder))
    for number, (element, own) in enumerate(zip(elements_of(image, profile), keys, strict=True)):
        source = element.find("source")
        assert source is not None
        for signing in source.findall("signing"):
            source.remove(signing)
        for key in own:
            ElementTree.SubElement(source, "signing", key=key.as_uri())
        if 0 < len(own) < len(copies) and element.get("customize") is None:
            script = scripts / f"repository-{number}.sh"
            script.write_text(_NARROW.format(numbers=" ".join(str(copies.index(key)) for key in own)), encoding="utf-8")
            element.set("customize", str(script))
    return bytes(ElementTree.tostring(image, encoding="utf-8", xml_declaration=True))


def _keys(repository: RepositoryElement) -> tuple[str, ...]:
    if repository.unverified:
        return ()
    return repository.keys or (f"file://{DEBIAN}",)


def _read(repository: RepositoryElement, key: str, directory: Path, fetch: Fetch) -> bytes:
    if key.startswith(BESIDE):
        content = _file(repository, key, directory / _relative(key))
    elif key.startswith(("file:", "/")):
        content = _file(repository, key, Path("/" + key.removeprefix("file:").lstrip("/")))
    else:
        content = _fetched(repository, key, fetch)
    if not _is_public_key(content):
        raise _unusable(repository, key, "it is not an OpenPGP public key", "Export it: gpg --armor --export KEY.")
    return content


def _file(repository: RepositoryElement, key: str, path: Path) -> bytes:
    try:
        return path.read_bytes()[:_MAX_BYTES]
    except OSError as cause:
        if str(path) == DEBIAN:
            hint = "apt-get install debian-archive-keyring"
            message = f"the archive keys of Debian are not on this machine ({DEBIAN})"
            raise Retryable(message, code="sandbox", hint=hint, delay=60.0) from cause
        hint = "Install its package on each runner, or put the key beside build_root.kiwi."
        raise _unusable(repository, key, cause.strerror or str(cause), hint) from cause


def _fetched(repository: RepositoryElement, key: str, fetch: Fetch) -> bytes:
    try:
        return fetch(key)
    except (OSError, URLError) as cause:
        hint = "Check that this machine is online, and that the address in build_root.kiwi is right."
        message = f"the key {key} of repository {repository.alias} cannot be fetched: {cause}"
        raise Retryable(message, code="repository", hint=hint, delay=10.0) from cause


def _is_public_key(content: bytes) -> bool:
    """Returns True for armored keys, and for a packet of a public key in the old or the new format (RFC 9580, 4.2)."""
    if _ARMORED in content:
        return b"PRIVATE KEY" not in content
    if not content or not content[0] & 0x80:
        return False
    return (content[0] & 0x3F if content[0] & 0x40 else (content[0] >> 2) & 0x0F) == _PUBLIC_KEY


def _relative(key: str) -> str:
    path = PurePosixPath(key.removeprefix(BESIDE).lstrip("/"))
    if ".." in path.parts or not path.parts:
        hint = f"Use {BESIDE}./NAME.asc."
        raise Permanent(f"build_root.kiwi: the key {key} is not beside it", code="root", hint=hint)
    return str(path)


def _unusable(repository: RepositoryElement, key: str, cause: str, hint: str) -> Permanent:
    message = f"build_root.kiwi: the key {key} of repository {repository.alias} cannot be used: {cause}"
    return Permanent(message, code="root", hint=hint)
