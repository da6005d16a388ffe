"""Metadata of Debian packaging, and the errors when it cannot be read."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_builder.adapters.deb.control import DebMetadata
from cloud_builder.errors import Rejected
from cloud_builder.ports.metadata import BrokenMetadata, Metadata
from support.factories import changelog

CONTROL = """\
# made by hand
Source: hello
Section: misc
Build-Depends: debhelper-compat (= 13),
# a comment in between
               libgreet-dev (>= 1.0~) [linux-any] <!nocheck>,
               foo:native | bar,
Build-Depends-Indep: python3
Build-Conflicts: evil

Package: hello
Architecture: any
Provides: greeter, greeter-1 (= 1.0), ${python3:Provides}
Description: x
 .
 more

Package: hello-doc
Architecture: all
"""
HASH = "0" * 64
DSC = f"""\
-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA512

Format: 3.0 (quilt)
Source: hello
Binary: hello, hello-doc
Version: 1.0-1
Build-Depends: debhelper (>= 9)
Build-Depends-Arch: libgreet-dev
Package-List:
 hello deb misc optional arch=any
 hello-doc deb doc optional arch=all
Checksums-Sha256:
 {HASH} 0 hello_1.0.orig.tar.gz

-----BEGIN PGP SIGNATURE-----

iQIzBAEBCgAdFiEE
-----END PGP SIGNATURE-----
"""


DEBIAN = {"debian/changelog": changelog("hello"), "debian/source/format": "3.0 (native)\n"}


def read(**files: str | bytes | None) -> Metadata:
    """Reads a unit with these files. It has a changelog and a source format unless they are among them or None."""
    given = {name.replace("__", "/").replace("_dsc", ".dsc"): content for name, content in files.items()}
    rest = {} if any(name.endswith(".dsc") for name in given) else DEBIAN
    named = {name: content for name, content in {**rest, **given}.items() if content is not None}

    def content(path: str) -> bytes:
        if path not in named:
            raise Rejected(f"no file {path}", code="unknown-path")
        text = named[path]
        return text if isinstance(text, bytes) else text.encode()

    names = sorted({name.split("/")[0] for name in named} | ({"hello_1.0.orig.tar.gz"} if not rest else set()))
    assert DebMetadata().applies(names)
    return DebMetadata().read(names, content)


def test_control_file_gives_provides_and_build_depends() -> None:
    found = read(debian__control=CONTROL)
    assert found.provides == ("hello", "hello-doc", "greeter", "greeter-1")
    assert (found.version, found.virtual) == ("1.0", {"greeter": (), "greeter-1": ("1.0",)})
    assert found.architectures == {"hello": ("any",), "hello-doc": ("all",)}
    relations = found.build_depends.split(", ")
    assert relations == [
        "debhelper-compat (= 13)",
        "libgreet-dev (>= 1.0~) [linux-any] <!nocheck>",
        "foo:native | bar",
        "python3",
    ]


@pytest.mark.parametrize(
    ("rules", "version"),
    [
        ("%:\n\tdh $@\n# gencontrol -- -v9\n", "1:2.0-1"),
        ("b:\n\tdh_gencontrol -- \\\n\t -v$(V)\n", ""),
        ("b:\n\tdpkg-gencontrol -phello -v9:1\n", ""),
        ("b:\n\tdh_gencontrol --verbose # -v1\n\tgcc -v\n", "1:2.0-1"),
        (None, "1:2.0-1"),
    ],
)
def test_version_comes_from_the_changelog_unless_rules_override_it(rules, version) -> None:
    found = read(debian__control=CONTROL, debian__changelog=changelog("hello", "1:2.0-1"), debian__rules=rules)
    assert found.version == version


def test_tree_and_its_dsc_have_the_same_version() -> None:
    tree = read(debian__control=CONTROL, debian__changelog=changelog("hello", "1.0-1"))
    assert tree.version == read(hello_dsc=DSC).version


@pytest.mark.parametrize(
    ("provides", "version", "virtual"),
    [
        ("aa (= ${binary:Version}), bb (= ${source:Version})", "2-1", {"aa": ("2-1",), "bb": ("2-1",)}),
        ("aa (= ${other:Version}), ${x}, ${y} (= 1)", "2", {"aa": ("",)}),
        ("aa (= 1), aa (= 2), aa", "2", {"aa": ("1", "2")}),
        ("aa:any (= 1), bb [linux-any], cc (= 3) [amd64 arm64]", "2", {"aa": ("1",), "bb": (), "cc": ("3",)}),
        ("hello (= 7), hello-doc, A B, aa (>= 1)", "2", {"aa": ()}),
    ],
)
def test_provides_gives_virtual_packages_and_their_versions(provides: str, version: str, virtual: object) -> None:
    packages = f"Package: hello\nArchitecture: any\nProvides: {provides}\n\nPackage: hello-doc\nArchitecture: all\n"
    found = read(debian__control=f"Source: hello\n\n{packages}", debian__changelog=changelog("hello", version))
    assert found.virtual == virtual
    assert found.provides == ("hello", "hello-doc", *found.virtual)


def test_signed_dsc_is_preferred_to_the_debian_directory() -> None:
    found = read(hello_dsc=DSC, debian__control="nonsense")
    assert found.provides == ("hello", "hello-doc")
    assert found.build_depends == "debhelper (>= 9), libgreet-dev"
    assert found.version == "1.0-1"


def test_dsc_without_package_list_takes_names_from_binary() -> None:
    lines = [line for line in DSC.splitlines() if "optional" not in line and not line.startswith("Package-List")]
    assert read(hello_dsc="\n".join(lines)).provides == ("hello", "hello-doc")


@pytest.mark.parametrize("names", [["hello.spec"], [], ["README"]])
def test_reader_does_not_apply_to_other_formats(names: list[str]) -> None:
    assert not DebMetadata().applies(names)


@pytest.mark.parametrize(
    ("files", "file", "line", "message"),
    [
        ({"debian__control.in": "x"}, "debian/control", 0, "missing"),
        ({"debian__control": ""}, "debian/control", 1, "no Source"),
        ({"debian__control": "Source: hello\nnonsense\n"}, "debian/control", 2, "not a field: nonsense"),
        ({"debian__control": "Source: hello\nAa: b\naA : c\n"}, "debian/control", 3, "the field aA is there twice"),
        ({"debian__control": "\n c\n"}, "debian/control", 2, "a continuation without a field: c"),
        ({"debian__control": "Package: a\n"}, "debian/control", 1, "no Source"),
        ({"debian__control": "Source: hello\n"}, "debian/control", 0, "no binary package"),
        ({"debian__control": "Source: hello\n\nArchitecture: any\n"}, "debian/control", 3, "without Package"),
        ({"debian__control": "Source: hello\n\n#\nPackage: a\n"}, "debian/control", 4, "without Architecture"),
        (
            {"debian__control": "Source: hello\n\nPackage: A B\nArchitecture: any\n"},
            "debian/control",
            3,
            '"A B" is not a package name',
        ),
        ({"debian__control": b"Source: a\nX: \xff\n"}, "debian/control", 2, "not UTF-8"),
        (
            {"debian__control": "Source: hello\nBuild-Depends: bb,\n cc (1.0)\n\nPackage: aa\nArchitecture: any\n"},
            "debian/control",
            3,
            'Build-Depends: "cc (1.0)" is not a package',
        ),
        ({"debian__control": CONTROL, "debian__changelog": None}, "debian/changelog", 0, "missing"),
        ({"a_dsc": "x"}, "a.dsc", 1, "not a field: x"),
        ({"a_dsc": "X: y"}, "a.dsc", 1, "no Source"),
        ({"a_dsc": DSC, "b_dsc": DSC}, "b.dsc", 0, "more than one source: a.dsc, b.dsc"),
        ({"a_dsc": DSC.replace("orig.tar.gz", "tar.gz")}, "a.dsc", 14, "it lists hello_1.0.tar.gz, which is not in"),
        ({"a_dsc": DSC.replace("Version: 1.0-1", "Version: x")}, "a.dsc", 7, "no valid Source and Version"),
    ],
)
def test_broken_packaging_names_file_line_and_cause(files: dict[str, str], file: str, line: int, message: str) -> None:
    with pytest.raises(BrokenMetadata) as caught:
        read(**files)
    assert (caught.value.file, caught.value.line) == (file, line)
    assert message in caught.value.message
    assert caught.value.hint


LINES = st.sampled_from(
    ["Source: a", "Package: b", "Build-Depends: c, d (>= 1)", " e", "", "#", "x", "Provides:", " ."]
)


@given(st.lists(LINES | st.text(max_size=20)).map("\n".join) | st.binary())
def test_reader_raises_nothing_but_broken_metadata(text: str | bytes) -> None:
    for name in ("debian__control", "a_dsc"):
        with contextlib.suppress(BrokenMetadata):
            read(**{name: text.encode(errors="replace") if isinstance(text, str) else text})
