"""KIWI really runs: what it says of a wrong description reaches the user, and stopping it leaves nothing.

That it makes good roots is shown by every test that builds a package.
"""

from __future__ import annotations

import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event

import pytest

from cloud_builder.adapters.kiwi.root import KiwiRootMaker
from cloud_builder.adapters.sandbox.namespaces import NamespaceSandbox
from cloud_builder.errors import CloudBuilderError, Permanent, Retryable
from support.waiting import LIMIT

EXAMPLE = Path(__file__).parents[3] / "sources-example/projects/packages/libgreet/.cb/build_root.kiwi"
PROFILE = "bookworm.x86_64"
OTHER = """\
  <repository alias="updates" distribution="bookworm-updates" components="main">
    <source path="http://deb.debian.org/debian"><signing key="this://./other.gpg"/></source>
  </repository>"""
"""A repository that names a key, but not the one that signs it."""
OTHER_KEYS = Path("/usr/share/keyrings/debian-archive-removed-keys.gpg")
"""Keys that sign no suite any more."""


class Preparation:
    def __init__(self, directory: Path, text: str) -> None:
        self.directory, self.cancel, self.log = directory, Event(), bytearray()
        self.sandbox = NamespaceSandbox(directory / "scratch")
        self.description = directory / "build_root.kiwi"
        self.description.write_text(text)
        shutil.copyfile(OTHER_KEYS, directory / "other.gpg")

    def run(self) -> None:
        maker = KiwiRootMaker(self.sandbox)
        maker.prepare(self.description, PROFILE, self.directory / "root", log=self.log.extend, cancel=self.cancel)

    def fails(self) -> CloudBuilderError:
        with pytest.raises(CloudBuilderError) as caught:
            self.run()
        return caught.value


@pytest.fixture
def prepare(tmp_path):
    made = []

    def make(old: str = "", new: str = "") -> Preparation:
        text = EXAMPLE.read_text()
        assert old in text
        made.append(Preparation(tmp_path, text.replace(old, new)))
        return made[-1]

    yield make
    for one in made:
        one.sandbox.remove(tmp_path / "root")


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        ("</packages>", "</packagez>", Permanent, "not well-formed"),
        ('<package name="gpgv"/>', "<package/>", Permanent, '"name"'),
        ('<package name="gpgv"/>', '<package name="gpgvvv"/>', Permanent, "gpgvvv"),
        ('distribution="bookworm"', 'distribution="bookwurm"', Permanent, "bookwurm"),
        ("</preferences>", f"</preferences>{OTHER}", Permanent, "NO_PUBKEY"),
        ("http://deb.debian.org/debian", "http://127.0.0.1:9/debian", Retryable, "127.0.0.1"),
    ],
    ids=["no XML", "schema", "package", "distribution", "key of another repository", "unreachable"],
)
def test_wrong_description_is_reported_with_its_cause(prepare, old, new, error, message):
    preparation = prepare(old, new)
    failed = preparation.fails()
    assert isinstance(failed, error), (failed, bytes(preparation.log).decode())
    assert message in failed.message
    assert not list(preparation.directory.glob(".root.kiwi-*"))


class _Busy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(503)

    def log_message(self, *_: object) -> None:
        """Prints nothing."""


def test_busy_mirror_is_an_error_and_no_failure(prepare):
    with ThreadingHTTPServer(("127.0.0.1", 0), _Busy) as mirror:
        threading.Thread(target=mirror.serve_forever, daemon=True).start()
        failed = prepare("http://deb.debian.org", f"http://127.0.0.1:{mirror.server_port}").fails()
        mirror.shutdown()
    assert isinstance(failed, Retryable)
    assert "503" in failed.message


def test_cancel_ends_it(prepare):
    preparation = prepare()
    failed: list[CloudBuilderError] = []
    thread = threading.Thread(target=lambda: failed.append(preparation.fails()))
    thread.start()
    while b"Installing bootstrap packages" not in preparation.log:
        assert thread.is_alive(), bytes(preparation.log).decode()
        thread.join(0.05)
    preparation.cancel.set()
    thread.join(LIMIT)
    assert failed[0].code == "canceled"
    assert {path.name for path in preparation.directory.iterdir()} <= {
        "build_root.kiwi",
        "other.gpg",
        "root",
        "scratch",
    }
