"""The state of package repositories, by the digest of their metadata: apt's Release and rpm-md's repomd.xml.

In goes a build_root.kiwi, out goes one digest that changes when the packages do, so that a build root made from an
older state is not taken for a newer one. What was read last is kept in a file: a repository that does not answer counts
with what it was, or as unknown, and is asked again later. Never downloads indices or packages.
"""

from __future__ import annotations

import json
import logging
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
_SECONDS = 10.0
_MOST_BYTES = 32 * 1024 * 1024
_UNKNOWN = "unknown"
_RETRY = 60.0
_INDEX = re.compile(rb"^ [0-9a-f]{64} +\d+ \S*Packages(?:\.\w+)?$", re.MULTILINE)
_LOCAL = re.compile(r"^(?:file://|dir://)?(/.*)$")

Fetch = Callable[[str], bytes]


def fetch(url: str) -> bytes:
    """Reads a URL or a local file; raises OSError when that fails or there is too much."""
    local = _LOCAL.match(url)
    if local:
        with Path(local[1]).open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    elif url.startswith(("http://", "https://")):
        request = Request(url, headers={"User-Agent": "cloud-builder", "Cache-Control": "no-cache"})
        with urlopen(request, timeout=_SECONDS) as answer:
            content = bytes(answer.read(_MOST_BYTES + 1))
    else:
        raise OSError("only http, https and local paths can be read")
    if len(content) > _MOST_BYTES:
        raise OSError(f"larger than {_MOST_BYTES} bytes")
    return content


@dataclass(frozen=True)
class _CachedState:
    """`digest` of the metadata when it was read at `at`, in seconds since the epoch; `due`: read again from then on."""

    digest: str
    at: float
    due: float


class ReleaseStates:
    """ports.metadata.RepositoryStates. `file` keeps what was read last; `max_age` in seconds."""

    def __init__(
        self, file: Path, max_age: float, *, fetch: Fetch = fetch, clock: Callable[[], float] = time.time
    ) -> None:
        self._file = file
        self._max_age = max_age
        self._fetch = fetch
        self._clock = clock
        self._lock = Lock()
        self._known = self._load()

    def state(self, build_root: bytes, profiles: Collection[str]) -> Digest:
        combined = sha256()
        for profile in sorted(profiles):
            description = parse(build_root, profile)
            for repository in description.repositories:
                places = _places(description, repository)
                combined.update(f"{profile}\0{places[0]}\0{self._digest(places)}\n".encode())
        return Digest(combined.hexdigest())

    def _digest(self, places: tuple[str, ...]) -> str:
        """One at a time: many units name the same repository, which is asked once."""
        with self._lock:
            now = self._clock()
            known = self._known.get(places[0])
            if known is not None and now < known.due:
                return known.digest
            read = self._read(places)
            if read is None:
                digest = known.digest if known is not None else _UNKNOWN
                at = known.at if known is not None else 0.0
                self._known[places[0]] = _CachedState(digest, at, now + min(_RETRY, self._max_age))
                return digest
            self._known[places[0]] = _CachedState(read, now, now + self._max_age)
            self._save()
            return read

    def _read(self, places: tuple[str, ...]) -> str | None:
        failed = ""
        for place in places:
            try:
                return _packages_digest(self._fetch(place))
            except (OSError, URLError, ValueError) as error:
                failed = failed or f"{place}: {error}"
        _LOG.warning("repository does not answer, its last known state counts", extra={"cause": failed})
        return None

    def _load(self) -> dict[str, _CachedState]:
        try:
            stored = json.loads(self._file.read_text())
            return {place: _CachedState(str(one["digest"]), float(one["at"]), 0.0) for place, one in stored.items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return {}

    def _save(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        new = self._file.with_suffix(".new")
        stored = {place: {"digest": one.digest, "at": one.at} for place, one in self._known.items() if one.at}
        new.write_text(json.dumps(stored, indent=1, sort_keys=True))
        new.replace(self._file)


class OfflineStates:
    """The same without any network, for `cb-ctl check`: only the description is read, and refused when broken."""

    def state(self, build_root: bytes, profiles: Collection[str]) -> Digest:
        described = [repr(parse(build_root, profile)) for profile in sorted(profiles)]
        return Digest(sha256("\n".join(described).encode()).hexdigest())


def _places(description: Description, repository: RepositoryElement) -> tuple[str, ...]:
    """Where the repository's metadata may lie, the best first."""
    top = repository.uri.rstrip("/")
    if description.package_manager and not description.package_manager.startswith("apt"):
        return (f"{top}/repodata/repomd.xml",)
    if repository.distribution:
        top = f"{top}/dists/{repository.distribution}"
    return (f"{top}/InRelease", f"{top}/Release")


def _packages_digest(content: bytes) -> str:
    """Of the digests of its package indices: dates and signatures change without any package changing."""
    indices = _INDEX.findall(content)
    return sha256(b"\n".join(sorted(indices)) if indices else content).hexdigest()
