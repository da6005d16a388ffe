"""A manifest is read, or rejected with all problems, each with its line and the nearest valid name."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_builder.model.capacity import Capacity
from cloud_builder.model.manifest import Manifest01, Manifest10, ManifestError, parse, unit_path
from cloud_builder.model.outcome import Kind

FILE = "projects/packages/hello/.cb/cloud_builder.yml"

PACKAGE = """\
schema_version: 0.1
name: hello
distributions:
  - dist: bookworm
    arch: x86_64
    runner_group: debian
  - {dist: TW, arch: aarch64}
"""
IMAGE = """\
schema_version: 0.1
name: hello
images:
  - arch: x86_64
    runner_group: suse
    selection: {name: standard, profiles: [A, B], build_arguments: ["--clear-cache"]}
"""
LAB = """\
schema_version: 1.0
name: hello
depends: [images/standard]
constraints: {memory: 4G, disk: 512, cpu: 2, kvm: true, tags: [big, fast]}
test: {commands: ["hello --version"]}
labs:
  - {name: local, backend: qemu, runner_group: lab}
"""
BUILD = """\
schema_version: 1.0
name: hello
distributions: [{dist: bookworm, arch: x86_64}]
build:
  profiles: [nocheck]
  options: [noopt, "hardening=+all,-pie"]
"""


def test_manifest_of_a_package_has_its_targets() -> None:
    manifest = parse(PACKAGE, FILE)
    assert isinstance(manifest, Manifest01)
    assert manifest.kind is Kind.PACKAGE
    assert [(t.name, t.dist, t.arch, t.runner_group) for t in manifest.targets] == [
        ("bookworm.x86_64", "bookworm", "x86_64", "debian"),
        ("TW.aarch64", "TW", "aarch64", ""),
    ]


def test_manifest_of_an_image_has_its_selection() -> None:
    manifest = parse(IMAGE.encode(), FILE)
    assert manifest.kind is Kind.IMAGE
    assert manifest.targets[0].name == "standard.x86_64"
    assert manifest.images[0].selection.build_arguments == ("--clear-cache",)


def test_manifest_of_a_lab_has_depends_and_constraints() -> None:
    manifest = parse(LAB, FILE)
    assert isinstance(manifest, Manifest10)
    assert manifest.kind is Kind.LAB
    assert manifest.depends == ("images/standard",)
    assert manifest.constraints is not None
    has = Capacity(memory=4 * 1024**3, disk=512, cpu=2, kvm=True, tags=("big", "fast"))
    assert manifest.constraints.capacity() == has


def test_manifest_of_a_package_has_build_profiles_and_options() -> None:
    manifest = parse(BUILD, FILE)
    assert isinstance(manifest, Manifest10)
    assert manifest.build is not None
    assert (manifest.build.profiles, manifest.build.options) == (("nocheck",), ("noopt", "hardening=+all,-pie"))


@pytest.mark.parametrize("version", ["0.1", "'0.1'", "1.0", '"1.0"', "1", "'1'"])
def test_schema_version_is_a_number_or_text(version: str) -> None:
    assert parse(PACKAGE.replace("0.1", version), FILE).name == "hello"


def test_scalars_keep_the_text_in_the_file() -> None:
    manifest = parse(PACKAGE.replace("bookworm", "15.10"), FILE)
    assert manifest.targets[0].name == "15.10.x86_64"


def changed(old: str, new: str, text: str = PACKAGE) -> str:
    assert old in text
    return text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("text", "line", "message", "hint"),
    [
        (changed("distributions:", "distribution:"), 3, "unknown key distribution", "Did you mean distributions?"),
        (changed("name: hello", "name: helo"), 2, 'the name "helo" is not that of the directory', "name: hello"),
        (changed("name: hello\n", ""), 1, "the key name is missing", ""),
        (changed("name: hello", "name:"), 2, "name must be text", ""),
        (changed("schema_version: 0.1", "schema_version: 2.0"), 1, 'unknown schema_version "2.0"', "0.1, 1.0"),
        (changed("schema_version: 0.1\n", ""), 1, "the key schema_version is missing", ""),
        (changed("arch: x86_64", "arch: amd64"), 5, 'unknown architecture "amd64"', "Did you mean x86_64?"),
        (changed("arch: aarch64", "arch: aarch46"), 7, 'unknown architecture "aarch46"', "Did you mean aarch64?"),
        (changed("dist: bookworm", "dist: ../etc"), 4, 'distributions[0].dist: "../etc" is not a name', "Allowed"),
        (changed("runner_group:", "runnergroup:"), 6, "unknown key distributions[0].runnergroup", "runner_group?"),
        (
            changed("dist: TW, arch: aarch64", "dist: bookworm, arch: x86_64"),
            7,
            "bookworm.x86_64 is here a second",
            "4",
        ),
        (changed("name: hello", "name: hello\nname: hello"), 3, 'the key "name" is here a second time', "line 2"),
        (changed("name: hello", "name: hello\nlabs: []"), 3, "unknown key labs", "labs needs schema_version: 1.0."),
        (changed("name: hello", "name: hello\ndepends: []"), 3, "unknown key depends", "needs schema_version: 1.0."),
        (PACKAGE + IMAGE.split("\n", 2)[2], 8, "found distributions and images", "Keep one of"),
        ("schema_version: 0.1\nname: hello\n", 1, "found none", "Keep one of"),
        ("schema_version: 0.1\nname: hello\ndistributions: []\n", 3, "distributions is empty", "Add at least one"),
        ("schema_version: 0.1\nname: hello\ndistributions:\n", 3, "distributions must be a list", "dash"),
        ("schema_version: 0.1\nname: hello\ndistributions: {dist: TW}\n", 3, "distributions must be a list", "dash"),
        ("schema_version: 0.1\nname: hello\ndistributions: [TW]\n", 3, "distributions[0] must hold keys", ""),
        (changed("profiles:", "profile:", IMAGE), 6, "unknown key images[0].selection.profile", "profiles?"),
        (changed("name: standard, ", "", IMAGE), 6, "the key images[0].selection.name is missing", ""),
        (changed("profiles:", "profile:", BUILD), 5, "unknown key build.profile", "profiles?"),
        (changed("[nocheck]", "[no check]", BUILD), 5, "is not a name", ""),
        (changed("[noopt,", "[no opt,", BUILD), 6, "is not a name", ""),
        (LAB + "build: {profiles: [nocheck]}\n", 8, "build is a key of packages", "selection"),
        (changed("backend: qemu", "backend: qmeu", LAB), 7, 'unknown value "qmeu"', "Did you mean qemu?"),
        (changed("memory: 4G", "memory: 4X", LAB), 4, "constraints.memory: must be a size", "4G"),
        (changed("cpu: 2", "cpu: 0", LAB), 4, "constraints.cpu", ""),
        (changed("kvm: true", "kmv: true", LAB), 4, "unknown key constraints.kmv", "kvm?"),
        ("", 1, "the file is empty", "Start with"),
        ("- a\n", 1, "must hold keys and values", ""),
        ("name: [\n", 2, "not valid YAML", ""),
        ("a: 1\n---\nb: 2\n", 2, "not valid YAML", ""),
        ("a:\n\tb: 1\n", 2, "not valid YAML", ""),
        ("a: 1\nb: \x01\n", 2, "a character that YAML does not allow", ""),
        (
            "a: 1\nb: !!python/object/apply:os.system [id]\n",
            2,
            "the tag tag:yaml.org,2002:python/object/apply:os.system is not",
            "",
        ),
        ("a: 1\nb: !!binary aGk=\n", 2, "the tag tag:yaml.org,2002:binary is not allowed", ""),
        ("a: 1\n? [x]\n: y\n", 2, "a key must be plain text", ""),
    ],
)
def test_problem_has_line_cause_and_nearest_name(text: str, line: int, message: str, hint: str) -> None:
    with pytest.raises(ManifestError) as caught:
        parse(text, FILE)
    problems = caught.value.problems
    assert any(p.line == line and message in p.message and hint in p.hint for p in problems), problems
    assert all(p.file == FILE and p.path == "packages/hello" for p in problems)
    assert f"{FILE}:{line}: " in str(caught.value)


def test_manifest_that_is_not_utf8_is_an_error_with_its_line() -> None:
    with pytest.raises(ManifestError) as caught:
        parse(b"schema_version: 0.1\nname: \xe9\n", FILE)
    assert [(p.line, p.message) for p in caught.value.problems] == [(2, "not UTF-8 text")]


def test_all_problems_are_reported_at_once_by_line() -> None:
    text = changed("arch: x86_64", "arch: amd64", changed("name: hello", "nme: hello"))
    with pytest.raises(ManifestError) as caught:
        parse(text, FILE)
    assert [p.line for p in caught.value.problems] == [1, 2, 5]


def test_consequences_of_a_wrong_entry_are_not_reported() -> None:
    with pytest.raises(ManifestError) as caught:
        parse("schema_version: 1.0\nname: hello\ndistributions: [{dist: sid, arch: amd64}]\n", FILE)
    assert len(caught.value.problems) == 1


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize("text", [BOMB, "a: &a [*a]", "[" * 100_000, "a: " * 50_000, "x" * 2_000_000, "- a\n" * 30_000])
def test_expensive_documents_are_rejected_with_few_problems(text: str) -> None:
    with pytest.raises(ManifestError) as caught:
        parse(text, FILE)
    assert 1 <= len(caught.value.problems) <= 51


KEYS = ("schema_version", "name", "distributions", "images", "labs", "dist", "arch", "selection", "depends")
SIGNS = ("hello", "0.1", "1.0", ":", ": ", "- ", "\n", "\n  ", *"{}[],|>%'", '"', "? ", "&a ", "*a ", "!!")
WORDS = st.sampled_from(KEYS + SIGNS)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), st.lists(WORDS, max_size=40).map("".join)) | st.binary())
def test_parser_raises_nothing_but_manifest_error(text: str | bytes) -> None:
    try:
        parse(text, FILE)
    except ManifestError as error:
        assert error.problems


@pytest.mark.parametrize("model", [Manifest01, Manifest10])
def test_json_schema_can_be_derived(model: type[Manifest01] | type[Manifest10]) -> None:
    schema = model.model_json_schema()
    assert schema["additionalProperties"] is False
    assert float(schema["properties"]["schema_version"]["enum"][0]) in (0.1, 1.0)
    json.dumps(schema)


@pytest.mark.parametrize(
    ("directory", "path"),
    [
        ("projects/packages/hello", "packages/hello"),
        ("packages/hello", "packages/hello"),
        ("", "."),
        ("hello", "hello"),
    ],
)
def test_unit_path_has_no_projects_prefix(directory: str, path: str) -> None:
    assert unit_path(directory) == path
