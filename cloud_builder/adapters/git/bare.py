"""One bare mirror on disk: making it, keeping it like its remote, and getting single commits or files it lacks.

Several threads and processes may use one mirror: what changes it holds a file lock; reading needs none. A mirror holds
nothing that cannot be fetched again: a broken one is thrown away and made anew.

Remote repositories are mirrored without their large files where the server can do that (partial clone): manifests and
packaging come at once, a tarball only when its unit is exported, all those of a unit in one fetch.
"""

from __future__ import annotations

import re
import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Event

from cloud_builder.errors import Rejected, Retryable
from cloud_builder.files.locks import exclusive_lock

from .command import FETCH_SECONDS, GitRepository, without_secrets

HEADS, TAGS = "refs/heads/", "refs/tags/"
_FILTER = "blob:limit=1m"
_FILTER_OFFERED = re.compile(rb"< fetch=[^\n]*\bfilter\b")
_SSH_ADDRESS = re.compile(r"^[^/]+:")
_BROKEN = re.compile(r"corrupt|is empty|bad object|\.lock': File exists|not a git repository: '", re.IGNORECASE)
_QUIETLY = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules")


class BareMirror:
    """The mirror at `path` (`….git`). `cancel`: as Repository's, and nobody is waited for."""

    def __init__(self, path: Path, cancel: Event | None = None) -> None:
        self.path = path
        self.repository = GitRepository(path, cancel)
        self._cancel = cancel
        self._mark = path / "mirrored"

    def is_filled(self) -> bool:
        """True when it was like its remote at least once."""
        return self._mark.exists()

    def refresh(self, url: str) -> None:
        """Makes it like its remote. One question to the remote when nothing changed there."""
        with self._changing():
            self._make(url)
            head, refs = self._remote_refs(url)
            if head and head != self.head():
                self.repository.git("symbolic-ref", "HEAD", head)
            if refs != self.refs():
                self._fetch_or_start_anew(url)
            self._mark.touch()

    def head(self) -> str:
        """Full name of the branch that the remote calls its default."""
        return self.repository.git("symbolic-ref", "HEAD").text.strip()

    def refs(self) -> dict[str, str]:
        """Branches and tags by full name → the object (a commit or a tag object)."""
        output = self.repository.git("for-each-ref", "--format=%(objectname) %(refname)", HEADS, TAGS).stdout
        pairs = (line.split(" ", 1) for line in output.decode(errors="surrogateescape").splitlines())
        return {name: identity for identity, name in pairs}

    def need_commit(self, url: str, revision: str) -> None:
        """Fetches until the commit is here: with all branches, else by its id (its branch may have moved on)."""
        if self._has_commit(revision):
            return
        self.refresh(url)
        if self._has_commit(revision):
            return
        with self._changing():
            self.repository.try_git("fetch", *_QUIETLY, "origin", revision, seconds=FETCH_SECONDS)
        if not self._has_commit(revision):
            hint = "It was removed by a forced push. Request the build again."
            raise Rejected(f"{without_secrets(url)}: no commit {revision}", code="unknown-ref", hint=hint)

    def need_files(self, url: str, tree: str) -> None:
        """In a partial mirror: gets every missing file of a tree in one go, instead of one by one when read."""
        if not self._is_partial():
            return
        listed = self.repository.git("rev-list", "--objects", "--missing=print", "--no-object-names", tree).text
        missing = "\n".join(identity[1:] for identity in listed.split() if identity.startswith("?"))
        if not missing:
            return
        command = (
            "-c",
            "fetch.negotiationAlgorithm=noop",
            "fetch",
            *_QUIETLY,
            "--filter=blob:none",
            "--stdin",
            "origin",
        )
        with self._changing():
            self.repository.query(url, *command, stdin=missing.encode(), seconds=FETCH_SECONDS)

    def _changing(self) -> AbstractContextManager[None]:
        """Holds the mirror's lock against other threads and processes that change it."""
        return exclusive_lock(self.path.with_suffix(".lock"), self._cancel)

    def _make(self, url: str) -> None:
        address = _address(url)
        config = self.path / "config"
        if config.exists() and f"url = {address}\n" in config.read_text(errors="replace"):
            return
        if self.path.exists():
            shutil.rmtree(self.path)  # of another URL, or never finished
        self.repository.git("init", "--quiet", "--bare", "--initial-branch=main", "--template=", str(self.path))
        settings = {"gc.autoDetach": "false", "http.lowSpeedLimit": "1000", "http.lowSpeedTime": "30"}
        if self._can_filter(url):
            settings |= {"remote.origin.promisor": "true", "remote.origin.partialclonefilter": _FILTER}
        settings["remote.origin.url"] = address  # last: it marks the mirror as made
        for key, value in settings.items():
            self.repository.git("config", key, value)

    def _is_partial(self) -> bool:
        return self.repository.try_git("config", "--bool", "remote.origin.promisor").text.strip() == "true"

    def _can_filter(self, url: str) -> bool:
        """True when the server says that it can leave large files out.

        Has to be asked: towards one that cannot even say so (a plain web server), git would fetch each missing object
        by another fetch, without end. The only place where git tells is its packet trace."""
        address = _address(url)
        if address.startswith("/"):
            return False
        said = self.repository.query(url, "ls-remote", "--", address, "HEAD", extra={"GIT_TRACE_PACKET": "2"})
        return _FILTER_OFFERED.search(said.stderr) is not None

    def _remote_refs(self, url: str) -> tuple[str, dict[str, str]]:
        """What the remote has now: its HEAD's branch, and refs as `refs` gives them."""
        output = self.repository.query(url, "ls-remote", "--symref", "origin", "HEAD", f"{HEADS}*", f"{TAGS}*").stdout
        head, refs = "", {}
        for line in output.decode(errors="surrogateescape").splitlines():
            value, _, name = line.partition("\t")
            if value.startswith("ref: ") and name == "HEAD":
                head = value.removeprefix("ref: ")
            elif name.startswith((HEADS, TAGS)) and not name.endswith("^{}"):
                refs[name] = value
        return head, refs

    def _fetch(self, url: str) -> None:
        refspecs = (f"+{HEADS}*:{HEADS}*", f"+{TAGS}*:{TAGS}*")
        self.repository.query(url, "fetch", *_QUIETLY, "--prune", "--force", "origin", *refspecs, seconds=FETCH_SECONDS)

    def _fetch_or_start_anew(self, url: str) -> None:
        if self._is_partial() and not self._can_filter(url):
            self._start_anew(url)
        try:
            self._fetch(url)
        except Retryable as error:
            if not _BROKEN.search(error.message):
                raise
            self._start_anew(url)  # killed in mid-fetch, or a bad disk
            self._fetch(url)

    def _start_anew(self, url: str) -> None:
        shutil.rmtree(self.path)
        self._make(url)

    def _has_commit(self, revision: str) -> bool:
        return self.is_filled() and self.repository.try_git("cat-file", "-e", f"{revision}^{{commit}}").status == 0


def _address(url: str) -> str:
    """A path made absolute; URLs, and ssh's host:path, as they are."""
    if "://" in url or _SSH_ADDRESS.match(url):
        return url
    return str(Path(url).expanduser().resolve())
