"""Objects are read from an offset on, whether or not the server supports ranges."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from cloud_builder.adapters.http import serve
from cloud_builder.adapters.store.directory import DirectoryStore
from cloud_builder.cli import download

LOG = b"".join(b"line %d\n" % number for number in range(100_000))


class Quiet(SimpleHTTPRequestHandler):
    """A server without ranges, and without output."""

    def log_message(self, format: str, *arguments: object) -> None: ...


@pytest.fixture(scope="module", params=["ours", "without ranges"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    tmp_path = tmp_path_factory.mktemp("objects")
    (tmp_path / "log").write_bytes(LOG)
    if request.param == "ours":
        store = DirectoryStore(tmp_path / "store")
        store.put(tmp_path / "log")
        ours = serve("127.0.0.1", 0, tmp_path / "repositories", store)
        yield f"{ours.url}/objects/{sha256(LOG).hexdigest()}"
        ours.close()
        return
    plain = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    Thread(target=plain.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{plain.server_port}/log"
    plain.shutdown()
    plain.server_close()


@pytest.mark.parametrize(
    "offset", [0, 1, download.CHUNK_BYTES - 1, download.CHUNK_BYTES, download.CHUNK_BYTES + 1, len(LOG) - 1, len(LOG)]
)
def test_object_bytes_begins_at_the_offset(url: str, offset: int) -> None:
    artifact = {"name": "log", "url": url, "size": len(LOG)}
    assert b"".join(download.object_bytes(artifact, offset)) == LOG[offset:]
