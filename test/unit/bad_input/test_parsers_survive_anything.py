"""Properties: for any input a parser returns a result or raises its own error, and never another exception."""

from __future__ import annotations

import contextlib
import json
import string

from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_builder.adapters.deb import binary_package
from cloud_builder.adapters.deb.control import DebMetadata
from cloud_builder.adapters.deb.source import read_source
from cloud_builder.errors import Permanent, Rejected
from cloud_builder.flow.request import malformed
from cloud_builder.mesh.codec import Undecodable, decode, encode
from cloud_builder.model.artifact import Artifact, ArtifactKind
from cloud_builder.model.manifest import ManifestError, parse
from cloud_builder.model.topics import ROUTES
from cloud_builder.model.unit import Target, Unit
from cloud_builder.planning.graph.build import build_graph
from cloud_builder.planning.graph.graph import Origin, SourceSnapshot
from cloud_builder.planning.inputs.closure import closure, find_in
from cloud_builder.planning.relations import cached_groups
from cloud_builder.ports.broker import Partition, Record
from support.factories import changelog

RELATIONS = st.text("ab1|,()[]<>!:=.~ ${}\n\t\0é-+", max_size=60) | st.text(max_size=40)
YAML = st.text("abn:-[]{}&*!#'\"|>%@ \n\t0.~?,\\\0\x85\ufeff", max_size=80) | st.text(max_size=80)
FIELDS = ("Source", "Package", "Version", "Architecture", "Provides", "Depends", "Build-Depends", "Package-List",
          "Binary", "Checksums-Sha256", "Files")  # fmt: skip
LINE = st.one_of(
    st.tuples(st.sampled_from(FIELDS), st.sampled_from([": ", ":", " :"]), RELATIONS).map("".join),
    st.just(""),
    RELATIONS.map(lambda text: f" {text}"),
    st.sampled_from(["-----BEGIN PGP SIGNED MESSAGE-----", "-----BEGIN PGP SIGNATURE-----", "#", "."]),
)
GOOD_BINARY = "Package: aa\nVersion: 1\nArchitecture: all\n"
GOOD_SOURCE = "Source: aa\nBuild-Depends: {}\n\nPackage: aa\nArchitecture: any\nProvides: {}\n"
CONTROL = st.lists(LINE, max_size=12).map("\n".join) | st.text(max_size=80)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(string.ascii_lowercase, max_size=8), inner),
    max_leaves=8,
)


def _json(body: object) -> bytes:
    return json.dumps(body).encode()


@given(YAML)
def test_any_text_is_a_manifest_or_a_manifest_error(text):
    with contextlib.suppress(ManifestError):
        parse(text, "projects/packages/x/.cb/cloud_builder.yml")


@given(st.binary(max_size=100))
def test_any_bytes_are_a_manifest_or_a_manifest_error(data):
    with contextlib.suppress(ManifestError):
        parse(data, ".cb/cloud_builder.yml")


@settings(max_examples=200)
@given(st.sampled_from(ROUTES), st.binary(max_size=60) | JSON.map(_json), st.booleans())
def test_any_record_is_an_event_or_undecodable(route, value, is_bare):
    names = {"ce_specversion": b"1.0", "ce_id": b"e", "ce_type": route.event.type.encode(), "ce_source": b"s"}
    record = Record(Partition(route.topic.name, 0), 1, None, value, () if is_bare else tuple(names.items()), 1.0)
    try:
        decode(record, "incarnation")
    except Undecodable as error:
        assert error.message
        encode(malformed.rejection(value, error.message, 1.0), source="s", id="i", time=1.0)


@given(CONTROL, st.sampled_from(["debian", "x.dsc"]))
def test_accepted_source_metadata_can_be_planned(text, name):
    _plan(text, name)


@given(RELATIONS, RELATIONS)
def test_accepted_relations_can_be_planned(needs, provides):
    _plan(GOOD_SOURCE.format(needs, provides), "debian")


def _plan(text: str, name: str) -> None:
    with contextlib.suppress(Rejected):
        files = {"debian/changelog": changelog("aa"), "debian/source/format": "3.0 (native)"}
        found = DebMetadata().read([name], lambda file: files.get(file, text).encode())
        target = Target(name="t", arch="x86_64")
        unit = Unit(path="u", directory="u", name="u", kind="package", tree="t", targets=(target,),
                    provides=found.provides, version=found.version,
                    virtual=dict(found.virtual), build_depends=found.build_depends)  # fmt: skip
        build_graph([SourceSnapshot("s", Origin("", ""), [unit, unit.model_copy(update={"path": "other"})])])


@given(CONTROL | CONTROL.map(GOOD_BINARY.__add__))
def test_accepted_binary_control_file_can_be_planned_and_listed(text):
    with contextlib.suppress(Permanent):
        package = binary_package.binary_package(text)
        deb = Artifact(name="x.deb", sha256="0" * 64, size=1, kind=ArtifactKind.DEB, package=package)
        closure(f"{package.name} (>= 1)", "x86_64", find_in([deb]))
        entry = binary_package.packages_entry(text, "pool/x.deb", 1, "0" * 64)
        assert "\n\n" not in entry
        assert binary_package.binary_package(entry).name == package.name


@given(RELATIONS)
def test_any_relations_are_parsed_by_the_scheduler(text):
    cached_groups(text, "x86_64")


@settings(max_examples=50, deadline=None)
@given(CONTROL, CONTROL)
def test_any_source_of_a_build_is_read_or_a_permanent_error(tmp_path_factory, control, changelog):
    for name, text in (("debian/control", control), ("xx.dsc", control)):
        directory = tmp_path_factory.mktemp("s")
        (directory / "debian").mkdir()
        (directory / "debian/changelog").write_text(changelog, errors="replace")
        (directory / name).write_text(text, errors="replace")
        with contextlib.suppress(Permanent):
            read_source(directory)
