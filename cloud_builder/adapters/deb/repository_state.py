"""Digests the state of package repositories: apt's Release and rpm-md's repomd.xml (the port RepositoryStates).

Input: a build_root.kiwi. Output: one digest that changes when the packages change, so that a build root made from an
older state is not reused for a newer one. The last state is kept in a file: a repository that does not answer keeps
its last state, or counts as unknown, and is read again later. Several processes share the file, so that a mesh and
`cb-ctl build` agree on the state. Must not download indices or packages.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import Lock
from urllib.error import URLError
from urllib.request import Request, urlopen

from cloud_builder.adapters.kiwi.description import Description, RepositoryElement, parse
from cloud_builder.model.ids import Digest

_LOG = logging.getLogger(__name__)
_TIMEOUT = 10.0
_MAX_BYTES = 32 * 1024 * 1024
_UNKNOWN = "unknown"
_RETRY = 60.0
_INDEX = re.compile(rb"^ [0-9a-f]{64} +\d+ \S*Packages(?:\.\w+)?$", re.MULTILINE)
_LOCAL = re.compile(r"^(?:file://|dir://)?(/.*)$")

Fetch = Callable[[str], bytes]


def fetch(url: str) -> bytes:
    """Returns the content of a URL or a local file. Raises OSError when it cannot be read or is too large."""
    local = _LOCAL.match(url)
    if local:
        with Path(local[1]).open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    elif url.startswith(("http://", "https://")):
        request = Request(url, headers={"User-Agent": "cloud-builder", "Cache-Control": "no-cache"})
        with urlopen(request, timeout=_TIMEOUT) as response:
            content = bytes(response.read(_MAX_BYTES + 1))
    else:
        raise OSError("only http, https and local paths can be read")
    if len(content) > _MAX_BYTES:
        raise OSError(f"larger than {_MAX_BYTES} bytes")
    return content


@dataclass(frozen=True)
class _CachedState:
    """A digest of metadata, when it was read (`at`), and when it is read again (`due`); seconds since the epoch."""

    digest: str
    at: float
    due: float


class ReleaseStates:
    """The port RepositoryStates. `file` stores the last states; `max_age`: seconds for which a state is used."""

    def __init__(
        self, file: Path, max_age: float, *, fetch: Fetch = fetch, clock: Callable[[], float] = time.time
    ) -> None:
        self._file = file
        self._max_age = max_age
        self._fetch = fetch
        self._clock = clock
        self._lock = Lock()
        self._states = self._load()

    def state(self, build_root: bytes, profiles: Collection[str]) -> Digest:
        combined = sha256()
        for profile in sorted(profiles):
            description = parse(build_root, profile)
            for repository in description.repositories:
                urls = _urls(description, repository)
                combined.update(f"{profile}\0{urls[0]}\0{self._digest(urls)}\n".encode())
        return Digest(combined.hexdigest())

    def unverified(self, build_root: bytes, profiles: Collection[str]) -> tuple[str, ...]:
        return _unverified(build_root, profiles)

    def _digest(self, urls: tuple[str, ...]) -> str:
        """Returns the digest of one repository. A lock serializes it: many units name the same repository."""
        with self._lock:
            now = self._clock()
            cached = self._states.get(urls[0])
            if cached is not None and now < cached.due:
                return cached.digest
            read = self._read(urls)
            if read is None:
                digest = cached.digest if cached is not None else _UNKNOWN
                at = cached.at if cached is not None else 0.0
                self._states[urls[0]] = _CachedState(digest, at, now + min(_RETRY, self._max_age))
                return digest
            self._states[urls[0]] = _CachedState(read, now, now + self._max_age)
            self._save()
            return read

    def _read(self, urls: tuple[str, ...]) -> str | None:
        failed = ""
        for url in urls:
            try:
                return _packages_digest(self._fetch(url))
            except (OSError, URLError, ValueError) as error:
                failed = failed or f"{url}: {error}"
        _LOG.warning("repository does not answer, its last state is used", extra={"cause": failed})
        return None

    def _load(self) -> dict[str, _CachedState]:
        try:
            stored = json.loads(self._file.read_text())
            ages = {url: float(one["at"]) for url, one in stored.items()}
            return {url: _CachedState(str(stored[url]["digest"]), at, at + self._max_age) for url, at in ages.items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return {}

    def _save(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        new = self._file.with_suffix(f".new-{os.getpid()}")
        newest = self._load()
        newest |= {url: one for url, one in self._states.items() if url not in newest or one.at > newest[url].at}
        stored = {url: {"digest": one.digest, "at": one.at} for url, one in newest.items() if one.at}
        new.write_text(json.dumps(stored, indent=1, sort_keys=True))
        new.replace(self._file)


class OfflineStates:
    """The port RepositoryStates without network, for `cb-ctl check`: only reads the description."""

    def state(self, build_root: bytes, profiles: Collection[str]) -> Digest:
        described = [repr(parse(build_root, profile)) for profile in sorted(profiles)]
        return Digest(sha256("\n".join(described).encode()).hexdigest())

    def unverified(self, build_root: bytes, profiles: Collection[str]) -> tuple[str, ...]:
        return _unverified(build_root, profiles)


def _unverified(build_root: bytes, profiles: Collection[str]) -> tuple[str, ...]:
    described = [parse(build_root, profile) for profile in sorted(profiles)]
    return tuple(dict.fromkeys(uri for description in described for uri in description.unverified))


def _urls(description: Description, repository: RepositoryElement) -> tuple[str, ...]:
    """Returns the URLs at which the metadata of the repository may be, the preferred one first."""
    top = repository.uri.rstrip("/")
    if description.package_manager and not description.package_manager.startswith("apt"):
        return (f"{top}/repodata/repomd.xml",)
    if repository.distribution:
        top = f"{top}/dists/{repository.distribution}"
    return (f"{top}/InRelease", f"{top}/Release")


def _packages_digest(content: bytes) -> str:
    """Returns a digest over the digests of the package indices: dates and signatures change without a change of
    packages.
    """
    indices = _INDEX.findall(content)
    return sha256(b"\n".join(sorted(indices)) if indices else content).hexdigest()
