"""One bare mirror on disk: makes and refreshes it, and fetches single commits or files that it lacks.

Several threads and processes may use one mirror: changes are made under a lock file, reading needs no lock. All content
of a mirror can be fetched again: a broken mirror is deleted and made again.

Where the server supports it, a mirror has no large files (partial clone). Manifests and packaging are fetched at once;
a tarball only when its unit is exported, together with all large files of the unit.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Event

from cloud_builder.errors import Rejected, Retryable
from cloud_builder.files.locks import exclusive_lock

from .command import FETCH_SECONDS, GitRepository, without_secrets

HEADS, TAGS = "refs/heads/", "refs/tags/"
_SHA1, _SHA256 = "sha1", "sha256"
"""Object formats (gitrepository-layout(5), extensions.objectFormat)."""
_FILTER = "blob:limit=1m"
_FILTER_SUPPORTED = re.compile(rb"< fetch=[^\n]*\bfilter\b")
_SSH_ADDRESS = re.compile(r"^[^/]+:")
_BROKEN = re.compile(r"corrupt|is empty|bad object|\.lock': File exists|not a git repository: '", re.IGNORECASE)
_QUIET = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules")


class BareMirror:
    """The mirror at `path` (`….git`). `cancel`: ends git and the wait for the lock: Retryable(code="canceled")."""

    def __init__(self, path: Path, cancel: Event | None = None) -> None:
        self.path = path
        self.repository = GitRepository(path, cancel)
        self._cancel = cancel
        self._mark = path / "mirrored"

    def is_filled(self) -> bool:
        """True if the mirror was equal to its remote at least once."""
        return self._mark.exists()

    def refresh(self, url: str) -> None:
        """Makes the mirror equal to its remote. Costs one query when nothing has changed there."""
        with self._changing():
            self._make(url)
            head, refs = self._remote_refs(url)
            if _object_format(refs) not in ("", self._object_format()):
                self._make_again(url, _object_format(refs))
            if head and head != self.head():
                self.repository.git("symbolic-ref", "HEAD", head)
            if refs != self.refs():
                self._fetch_or_make_again(url)
            self._mark.touch()

    def is_shallow(self) -> bool:
        """True if the remote is a clone with --depth: its oldest commits have no parents here."""
        shallow = self.path / "shallow"
        return shallow.exists() and shallow.stat().st_size > 0

    def head(self) -> str:
        """Returns the full name of the default branch of the remote."""
        return self.repository.git("symbolic-ref", "HEAD").text.strip()

    def refs(self) -> dict[str, str]:
        """Returns branches and tags: full name → object id (of a commit or a tag object)."""
        output = self.repository.git("for-each-ref", "--format=%(objectname) %(refname)", HEADS, TAGS).stdout
        pairs = (line.split(" ", 1) for line in _lines(output))
        return {name: identity for identity, name in pairs}

    def need_commit(self, url: str, revision: str) -> None:
        """Fetches a commit if it is missing: with all branches, else by its id (its branch may have moved on).

        Raises Rejected(code="unknown-ref") when the remote does not have it any more."""
        if self._has_commit(revision):
            return
        self.refresh(url)
        if self._has_commit(revision):
            return
        with self._changing():
            self.repository.try_git("fetch", *_QUIET, "--update-shallow", "origin", revision, seconds=FETCH_SECONDS)
        if not self._has_commit(revision):
            hint = "A forced push removed it. Request the build again."
            raise Rejected(f"{without_secrets(url)}: no commit {revision}", code="unknown-ref", hint=hint)

    def need_files(self, url: str, revision: str, paths: Sequence[str]) -> None:
        """Fetches all missing files of some paths at once, in a partial mirror; git would fetch them one by one."""
        if not self._is_partial():
            return
        options = ("--objects", "--no-walk", "--missing=print", "--no-object-names")
        listed = self.repository.git("--literal-pathspecs", "rev-list", *options, revision, "--", *paths).text
        missing = "\n".join(identity[1:] for identity in listed.split() if identity.startswith("?"))
        if not missing:
            return
        command = (
            "-c",
            "fetch.negotiationAlgorithm=noop",
            "fetch",
            *_QUIET,
            "--filter=blob:none",
            "--stdin",
            "origin",
        )
        with self._changing():
            self.repository.query(url, *command, stdin=missing.encode(), seconds=FETCH_SECONDS)

    def _changing(self) -> AbstractContextManager[None]:
        """Holds the mirror's lock against other threads and processes that change it."""
        return exclusive_lock(self.path.with_suffix(".lock"), self._cancel)

    def _make(self, url: str, object_format: str = _SHA1) -> None:
        address = _address(url)
        config = self.path / "config"
        if config.exists() and f"url = {address}\n" in config.read_text(errors="replace"):
            return
        if self.path.exists():
            shutil.rmtree(self.path)  # It has another URL, or was never finished.
        options = ("--bare", "--initial-branch=main", "--template=", f"--object-format={object_format}")
        self.repository.git("init", "--quiet", *options, str(self.path))
        settings = {"gc.autoDetach": "false", "http.lowSpeedLimit": "1000", "http.lowSpeedTime": "30"}
        if self._can_filter(url):
            settings |= {"remote.origin.promisor": "true", "remote.origin.partialclonefilter": _FILTER}
        settings["remote.origin.url"] = address  # The last setting: it marks the mirror as made.
        for key, value in settings.items():
            self.repository.git("config", key, value)

    def _is_partial(self) -> bool:
        return self.repository.try_git("config", "--bool", "remote.origin.promisor").text.strip() == "true"

    def _can_filter(self, url: str) -> bool:
        """True if the server supports filters, so that large files can be left out.

        Without this check, git would fetch each missing object from a server without the protocol (a plain web server)
        by another fetch, without end. git shows the capability only in its packet trace."""
        address = _address(url)
        if address.startswith("/"):
            return False
        finished = self.repository.query(url, "ls-remote", "--", address, "HEAD", extra={"GIT_TRACE_PACKET": "2"})
        return _FILTER_SUPPORTED.search(finished.stderr) is not None

    def _remote_refs(self, url: str) -> tuple[str, dict[str, str]]:
        """Returns the present default branch of the remote, and its refs in the form of `refs`."""
        output = self.repository.query(url, "ls-remote", "--symref", "origin", "HEAD", f"{HEADS}*", f"{TAGS}*").stdout
        head, refs = "", {}
        for line in _lines(output):
            value, _, name = line.partition("\t")
            if value.startswith("ref: ") and name == "HEAD":
                head = value.removeprefix("ref: ")
            elif name.startswith((HEADS, TAGS)) and not name.endswith("^{}"):
                refs[name] = value
        return head, refs

    def _fetch(self, url: str) -> None:
        """Fetches all branches and tags. A shallow remote (a clone with --depth) makes the mirror as shallow as it is,
        and a deeper one deepens it."""
        options = ("--prune", "--force", "--update-shallow", *(("--unshallow",) if self.is_shallow() else ()))
        refspecs = (f"+{HEADS}*:{HEADS}*", f"+{TAGS}*:{TAGS}*")
        self.repository.query(url, "fetch", *_QUIET, *options, "origin", *refspecs, seconds=FETCH_SECONDS)

    def _fetch_or_make_again(self, url: str) -> None:
        if self._is_partial() and not self._can_filter(url):
            self._make_again(url, self._object_format())
        try:
            self._fetch(url)
        except Retryable as error:
            if not _BROKEN.search(error.message):
                raise
            self._make_again(url, self._object_format())  # A fetch was killed, or the disk is faulty.
            self._fetch(url)

    def _make_again(self, url: str, object_format: str) -> None:
        shutil.rmtree(self.path)
        self._make(url, object_format)

    def _object_format(self) -> str:
        """Returns the object format of the mirror; sha1 when it cannot be read."""
        return self.repository.try_git("rev-parse", "--show-object-format").text.strip() or _SHA1

    def _has_commit(self, revision: str) -> bool:
        return self.is_filled() and self.repository.try_git("cat-file", "-e", f"{revision}^{{commit}}").status == 0


def _object_format(refs: Mapping[str, str]) -> str:
    """Returns the object format of a repository, by the length of its ids; empty: it has no refs."""
    return {40: _SHA1, 64: _SHA256}.get(len(next(iter(refs.values()), "")), "")


def _address(url: str) -> str:
    """Makes a path absolute; returns URLs and host:path of ssh unchanged."""
    if "://" in url or _SSH_ADDRESS.match(url):
        return url
    return str(Path(url).expanduser().resolve())


def _lines(output: bytes) -> list[str]:
    """Returns the lines that git printed. Names may have characters that `str.splitlines` takes for line ends."""
    return [line for line in output.decode(errors="surrogateescape").split("\n") if line]
