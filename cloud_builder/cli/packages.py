"""`cb-ctl list packages`: the packages that repositories list now, read from their indices as apt reads them."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

import click

from cloud_builder.errors import Rejected
from cloud_builder.model.nearest import did_you_mean

from .completers import REPOSITORIES
from .download import bytes_at
from .options import global_options
from .output import show_json, show_table
from .session import session
from .terminal import sanitize_all

_INSTALLER = "debian-installer"
_FIELDS = {"Package": "package", "Version": "version", "Architecture": "architecture", "Source": "source"}


@click.command()
@click.argument("names", nargs=-1, metavar="[PACKAGE]…")
@click.option("--repository", metavar="NAME", shell_complete=REPOSITORIES, help="Only this repository.")
@global_options
def packages(names: tuple[str, ...], repository: str | None) -> None:
    """List the packages that can be installed now, with their versions; or only PACKAGEs, or those of a source package.

    Packages with debug symbols are left out."""
    with session() as mesh:
        published = mesh.pages("repositories")
        known = [row["repository"] for row in published]
        if repository and repository not in known:
            hint = did_you_mean(repository, known) or "`cb-ctl list repositories` shows the repositories."
            raise Rejected(f"no repository {repository!r}", code="unknown-repository", hint=hint)
        chosen = [row for row in published if repository in (None, row["repository"]) and row.get("url")]
        rows = [row for one in chosen for row in _listed(one["repository"], str(one["url"]).rstrip("/"))]
        found = [row for row in rows if not names or row["package"] in names or row["source"] in names]
        _check_names(names, rows)
        if mesh.json:
            show_json(found)
            return
        cells = [
            [row["package"], row["version"], row["architecture"], row["source"], row["repository"], row["component"]]
            for row in sanitize_all(found)
        ]
        show_table(["package", "version", "arch", "source", "repository", ""], cells, empty="nothing is published yet")


def _check_names(names: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
    known = {row[key] for row in rows for key in ("package", "source")}
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known)
            raise Rejected(f"no package {name!r} is published", code="unknown-package", hint=hint)


def _listed(repository: str, url: str) -> Iterator[dict[str, Any]]:
    """Yields a row of each package of a repository, once."""
    source = _fields(bytes_at(f"{url}/{repository}.sources").decode())
    suite = source["Suites"].split()[0]
    files = _release_files(bytes_at(f"{url}/dists/{suite}/Release").decode())
    seen: set[tuple[str, ...]] = set()
    for file in files:
        for stanza in gzip.decompress(bytes_at(f"{url}/dists/{suite}/{file}")).decode().split("\n\n"):
            fields = _fields(stanza)
            if "Package" not in fields:
                continue
            row = {key: fields.get(field, "") for field, key in _FIELDS.items()}
            row["source"] = (row["source"] or row["package"]).partition(" ")[0]
            row["component"] = _INSTALLER if _INSTALLER in file else ""
            if (key := tuple(row.values())) not in seen:
                seen.add(key)
                yield {"repository": repository, **row}


def _release_files(release: str) -> list[str]:
    """Returns the indices of packages that a Release lists, without those of debug symbols."""
    listed = [line.split()[-1] for line in release.splitlines() if line.startswith(" ")]
    return sorted({name for name in listed if name.endswith("/Packages.gz") and name.startswith("main/")})


def _fields(stanza: str) -> dict[str, str]:
    """Returns the fields of a paragraph, without the lines that continue a field."""
    pairs = (line.partition(":") for line in stanza.splitlines() if line and not line[0].isspace())
    return {name: value.strip() for name, _, value in pairs}
