"""The Debian sources that are measured, pinned by digest, in the user's cache."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from bench.processes import Skipped, bench_cache

POOL = "http://deb.debian.org/debian/pool/main/h"
FILES = {
    "hostname": {
        "hostname_3.23+nmu1.dsc": "56f2189eaeee638e86d29a05356e7001632e33b2132a41a4634a9ff839264ea6",
        "hostname_3.23+nmu1.tar.xz": "f3fb39f30b00ba7dba2cec013195d7e1bb215f241153208ccd52da3eedfe7a7d",
    },
    "hello": {
        "hello_2.10-3.dsc": "75296f5ef618ae2f1849e22b142a2b5ab52c452ebefa4e7b0564c44617db3790",
        "hello_2.10.orig.tar.gz": "31e066137a962676e89f69d1b65382de95a7ef7d914b8cb956f41ea72e0f516b",
        "hello_2.10.orig.tar.gz.asc": "4ea69de913428a4034d30dcdcb34ab84f5c4a76acf9040f3091f0d3fac411b60",
        "hello_2.10-3.debian.tar.xz": "60ee7a466808301fbaa7fea2490b5e7a6d86f598956fb3e79c71b3295dc1f249",
    },
}


def fetched(name: str) -> list[Path]:
    """Returns the files of a source, the .dsc first. Raises Skipped when the mirror no longer has them."""
    return [_file(name, file, digest) for file, digest in FILES[name].items()]


def _file(name: str, file: str, digest: str) -> Path:
    path = bench_cache() / "sources" / file
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        try:
            with urlopen(f"{POOL}/{name}/{file}", timeout=30) as answer:
                path.write_bytes(answer.read())
        except (URLError, OSError) as cause:
            raise Skipped(f"{POOL}/{name}/{file}: {cause}") from None
    if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
        path.unlink()
        raise Skipped(f"{file} is not what it was: its sha256 differs from the pinned one")
    return path
