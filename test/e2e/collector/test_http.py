"""The web server: what it shows, how it answers to what clients of repositories ask, what it never shows."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from cloud_builder.adapters.http import Server, serve
from cloud_builder.adapters.memory.store import MemoryStore
from cloud_builder.errors import Rejected
from support.waiting import LIMIT

BODY = b"0123456789"


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    snapshot = tmp_path / "repositories/demo/snapshots/000001-x"
    snapshot.mkdir(parents=True)
    (snapshot / "InRelease").write_bytes(BODY)
    (tmp_path / "repositories/demo/current").symlink_to("snapshots/000001-x")
    (tmp_path / "repositories/demo/.hidden").write_text("secret")
    (tmp_path / "repositories/demo/out").symlink_to("../../secret")
    (tmp_path / "secret").write_text("secret")
    return tmp_path / "repositories"


@pytest.fixture
def server(root: Path, store: MemoryStore) -> Iterator[Server]:
    server = serve("127.0.0.1", 0, root, store)
    yield server
    server.close()


@pytest.fixture
def connection(server: Server) -> Iterator[HTTPConnection]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=LIMIT)
    yield connection
    connection.close()


def get(connection: HTTPConnection, path: str, method: str = "GET", **headers: str) -> tuple[HTTPResponse, bytes]:
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    return response, response.read()


FILE = "/repositories/demo/current/InRelease"


def test_one_connection_serves_many_requests(connection: HTTPConnection) -> None:
    for path, status in ((FILE, 200), ("/none", 404), ("/health", 200), ("/", 200), (FILE, 200)):
        response, _ = get(connection, path)
        assert (response.status, response.version) == (status, 11)
        assert not response.will_close


def test_pages_for_people_name_the_repositories_and_how_to_use_them(connection: HTTPConnection) -> None:
    assert b'href="/repositories/demo"' in get(connection, "/")[1]
    assert b"/etc/apt/sources.list.d/demo.sources" in get(connection, "/repositories/demo/")[1]


def test_front_page_without_repositories(tmp_path: Path, store: MemoryStore) -> None:
    server = serve("127.0.0.1", 0, tmp_path / "missing", store)
    try:
        assert b"Nothing is published" in get(HTTPConnection("127.0.0.1", server.port), "/")[1]
    finally:
        server.close()


@pytest.mark.parametrize(
    ("headers", "status", "body"),
    [
        ({}, 200, BODY),
        ({"Range": "bytes=2-4"}, 206, b"234"),
        ({"Range": "bytes=7-"}, 206, b"789"),
        ({"Range": "bytes=7-99"}, 206, b"789"),
        ({"Range": "bytes=-3"}, 206, b"789"),
        ({"Range": "bytes=0-0,5-6"}, 200, BODY),
        ({"Range": "nonsense"}, 200, BODY),
        ({"Range": "bytes=5-", "If-Range": "Thu, 01 Jan 1970 00:00:00 GMT"}, 200, BODY),
    ],
)
def test_ranges(connection: HTTPConnection, headers: dict[str, str], status: int, body: bytes) -> None:
    response, received = get(connection, FILE, **headers)
    assert (response.status, received) == (status, body)
    assert response.headers["Content-Length"] == str(len(body))
    if status == 206:
        start = BODY.index(body)
        assert response.headers["Content-Range"] == f"bytes {start}-{start + len(body) - 1}/10"


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=5-4", "bytes=-0"])
def test_range_beyond_the_end_returns_the_size(connection: HTTPConnection, asked: str) -> None:
    response, _ = get(connection, FILE, Range=asked)
    assert (response.status, response.headers["Content-Range"]) == (416, "bytes */10")


def test_a_known_file_is_not_sent_again_and_any_other_time_is_another_file(connection: HTTPConnection) -> None:
    modified = get(connection, FILE)[0].headers["Last-Modified"]
    response, body = get(connection, FILE, If_Modified_Since=modified)
    assert (response.status, body) == (304, b"")
    for other in ("Thu, 01 Jan 2099 00:00:00 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"):
        assert get(connection, FILE, If_Modified_Since=other)[0].status == 200


def test_head_is_get_without_the_body(connection: HTTPConnection) -> None:
    response, body = get(connection, FILE, "HEAD")
    assert (response.status, response.headers["Content-Length"], body) == (200, "10", b"")
    assert get(connection, "/none", "HEAD")[0].status == 404
    assert get(connection, FILE)[1] == BODY


def test_objects_by_digest_in_pieces_and_under_a_name(
    connection: HTTPConnection, store: MemoryStore, tmp_path: Path
) -> None:
    (tmp_path / "in").write_bytes(BODY * 100_000)
    digest, size = store.put(tmp_path / "in")
    response, body = get(connection, f"/objects/{digest}?name=a_1%2Bx_amd64.deb")
    assert (response.status, len(body)) == (200, size)
    assert response.headers["Content-Disposition"] == 'inline; filename="a_1+x_amd64.deb"'
    assert response.headers["Content-Type"] == "application/vnd.debian.binary-package"
    assert get(connection, f"/objects/{digest}", Range="bytes=999995-")[1] == b"56789"
    assert get(connection, f"/objects/{digest}", If_None_Match=f'"{digest}"')[0].status == 304
    plain = get(connection, f"/objects/{digest}?name=%22%0d%0aX:%20y")[0]
    assert (plain.status, plain.headers["Content-Disposition"], plain.headers["X"]) == (200, None, None)


@pytest.mark.parametrize(
    "path",
    [
        "/repositories/demo/../../secret",
        "/repositories/demo/%2e%2e/%2e%2e/secret",
        "/repositories/demo/..%2f..%2fsecret",
        "/repositories/../secret",
        "/repositories/..",
        "/repositories/demo/out",
        "/repositories/demo/.hidden",
        "/repositories/demo/current",
        "/repositories/demo/%00",
        "/repositories/none/InRelease",
        "/objects/..%2f..%2fsecret",
        "/objects/" + "0" * 64,
        "/objects",
        "/repositories",
        "//etc/passwd",
    ],
)
def test_what_is_not_published_is_not_there(connection: HTTPConnection, path: str) -> None:
    response, body = get(connection, path)
    assert response.status == 404
    assert b"secret" not in body


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_nothing_can_be_written(connection: HTTPConnection, method: str) -> None:
    assert get(connection, FILE, method)[0].status == 501


def test_occupied_port_is_reported_with_a_hint(server: Server, root: Path, store: MemoryStore) -> None:
    with pytest.raises(Rejected, match="Address already in use") as caught:
        serve("127.0.0.1", server.port, root, store)
    assert "--port" in caught.value.hint


def test_after_close_the_port_is_free(root: Path, store: MemoryStore) -> None:
    server = serve("127.0.0.1", 0, root, store)
    assert server.url == f"http://127.0.0.1:{server.port}"
    server.close()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", server.port))
