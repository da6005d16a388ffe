"""Coverage-guided fuzzing of every parser that reads what others wrote: `make fuzz`, or by hand

    .venv/bin/pip install atheris
    .venv/bin/python test/fuzz/fuzz_parsers.py manifest test/fuzz/corpus/manifest -max_total_time=60

A finding is any exception that is not the parser's own refusal, or an input that takes longer than 5 s. Seeds lie in
corpus/<parser>/; what is found there anew stays in build/fuzz. Needs the package `atheris`, which CI does not install:
there the same parsers are held by the properties of test/unit/bad_input.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress

import atheris

with atheris.instrument_imports(include=["cloud_builder", "debian", "yaml"]):
    from cloud_builder.adapters.deb import binary_package
    from cloud_builder.adapters.deb.control import DebMetadata
    from cloud_builder.cli.terminal import LogSanitizer
    from cloud_builder.errors import CloudBuilderError
    from cloud_builder.flow.request import malformed
    from cloud_builder.mesh.codec import Undecodable, decode
    from cloud_builder.model.manifest import parse
    from cloud_builder.planning.relations import cached_groups
    from cloud_builder.ports.broker import Partition, Record


def manifest(data: bytes) -> None:
    parse(data, "projects/packages/x/.cb/cloud_builder.yml").targets  # noqa: B018


def event(data: bytes) -> None:
    head, _, body = data.partition(b"\n\n")
    pairs = (line.partition(b": ") for line in head.splitlines())
    headers = tuple((name.decode(errors="replace"), value) for name, _, value in pairs)
    try:
        decode(Record(Partition("cb.request", 0), 1, None, body, headers, 1.0), "incarnation")
    except Undecodable as error:
        malformed.rejection(body, error.message, 1.0)
        raise


CHANGELOG = b"aa (1) unstable; urgency=low\n\n  * x\n\n -- A <a@b>  Thu, 01 Oct 2026 08:00:00 +0000\n"


def control(data: bytes) -> None:
    files = {"debian/changelog": CHANGELOG, "debian/source/format": b"3.0 (native)\n"}
    cached_groups(DebMetadata().read(["debian"], lambda name: files.get(name, data)).build_depends, "x86_64")


def dsc(data: bytes) -> None:
    cached_groups(DebMetadata().read(["x.dsc"], lambda _: data).build_depends, "x86_64")


def binary(data: bytes) -> None:
    package = binary_package.binary_package(data.decode(errors="replace"))
    cached_groups(package.depends, "x86_64")
    cached_groups(package.provides, "x86_64")


def relations(data: bytes) -> None:
    cached_groups(data.decode(errors="replace"), "x86_64")


def log(data: bytes) -> None:
    shown = LogSanitizer()
    half = len(data) // 2
    text = shown.feed(data[:half]) + shown.feed(data[half:])
    assert b"\x1b]" not in text


PARSERS: dict[str, Callable[[bytes], None]] = {
    parser.__name__: parser for parser in (manifest, event, control, dsc, binary, relations, log)
}


def main() -> None:
    parser = PARSERS[sys.argv.pop(1)]
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")

    def once(data: bytes) -> None:
        with suppress(CloudBuilderError):
            parser(data)

    atheris.Setup([*sys.argv, "-timeout=5", "-max_len=4096"], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
