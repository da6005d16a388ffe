"""Cb-request and the step `source` read of a source what dpkg's own library reads of the same bytes."""

from __future__ import annotations

import random
from itertools import product

import pytest

from cloud_builder.adapters.deb.changelog import is_version, newest_entry
from cloud_builder.adapters.deb.stanzas import BrokenStanza, read_stanzas
from cloud_builder.planning.architectures import ARCHITECTURES, is_concerned, matches
from cloud_builder.planning.relations import groups, offered_profiles, parse, relations_of
from support.dpkg import reading
from support.dpkg.index import sources_index
from support.dpkg.perl import answers

SEPARATORS = "\u2028 \x85 \x0b \x0c \x1c"
HEADINGS = [
    "hello (1.0-1) unstable; urgency=medium",
    "hello (1:2.0) a b; urgency=low, Thu, 01 Oct 2026 08:00:00 +0000",
    "hello (1.0) unstable",
    "hello (1.0-) unstable; urgency=low",
    "hé (1) u; urgency=low",
    "hello (a1) u;",
    "hello (2) u; urgency=low, urgency=low",
    " hello (1) u; urgency=low",
    "hello (1) u;urgency",
    "hello  (1) u; urgency=low",
]
DATES = [
    "Thu, 01 Oct 2026 08:00:00 +0000",
    "Fri, 01 Oct 2026 08:00:00 +0130",
    "31 Feb 2025 23:59:59 -0500",
    "Foo, 1 Sept 2025 1:02:03 +0000",
    "Mon, 1 DEC 2025 24:02:03 +0000",
    "Mon, 00 Jan 2025 10:00:60 +0000",
    "Mon, 06 Jan 1880 10:00:00 +0000",
    "Mon, 06 Jan 2025 10:00:00 +0000 (x)",
    "Mon, 06 January 2025 10:00:00 +0000",
    "Mon, 06 Jan 2025 10:00:00 +9999",
]
TRAILERS = [
    *(f" -- A B <a@b>  {date}" for date in DATES),
    f" -- A B <a@b> {DATES[0]}",
    f" -- <a@b>  {DATES[0]}",
    f" --  <>  {DATES[0]}",
    f" -- A <a@b>   {DATES[0]}",
    " -- A <a@b>",
    " --",
]
LINES = ["", "  * x", " * x", "\t* x", "\t", "x", "foo bar", "# comment", "$Id: x $", "/* c */", "vim: x",
         "Local variables:", ";; Local variables:", "Old Changelog:", "hello-1.0", "Changes from version 1 to 2:",
         f"  * {SEPARATORS} y", "\x0c", "\xa0 x", " x\x0c", "hello (0.9)", "Mon Jan 6 2025 A B <a@b>",
         f"-- A <a@b>  {DATES[0]}", f"  -- A <a@b>  {DATES[0]}", "  * x\r"]  # fmt: skip
PARSECHANGELOG = """
    require Dpkg::Changelog::Debian;
    open my $fh, '<', \\$_ or die;
    my $parsed = Dpkg::Changelog::Debian->new();
    $parsed->set_options(range => { count => 1 }, verbose => 0);
    $parsed->parse($fh, 'changelog');
    my ($entry) = $parsed->format_range('dpkg', { count => 1 });
    return join ' ', $entry->{Source}, $entry->{Version}, $entry->{Timestamp};
"""


def _changelogs(count: int, seed: int) -> list[str]:
    chance = random.Random(seed)

    def some(most: int) -> list[str]:
        return [chance.choice(LINES) for _ in range(chance.randrange(most + 1))]

    old = [HEADINGS[0], "", "  * old", "", TRAILERS[0]]
    plausible = [
        [*some(1)[:1], chance.choice(HEADINGS), *some(2), "  * x", "", chance.choice(TRAILERS), *some(2), *old]
        for _ in range(count // 2)
    ]
    wild = [
        [chance.choice(chance.choice([HEADINGS, TRAILERS, LINES])) for _ in range(chance.randrange(1, 7))]
        for _ in range(count // 2)
    ]
    return ["\n".join(lines) + "\n" for lines in (*plausible, *wild)]


def test_changelog_is_read_as_by_dpkg_parsechangelog() -> None:
    texts = _changelogs(3000, seed=11)
    for text, answer in zip(texts, answers(PARSECHANGELOG, texts), strict=True):
        source, _, rest = answer.strip().partition(" ")
        version, _, timestamp = rest.partition(" ")
        entry = newest_entry(text)
        if source in ("", "unknown"):
            assert entry is None, text
        else:
            expected = (source, version.replace("unknown", ""), int(timestamp) if timestamp else None)
            assert entry is not None and (entry.source, entry.version, entry.epoch) == expected, text


def test_versions_are_valid_as_for_dpkg() -> None:
    versions = ["".join(letters) for size in (1, 2, 3, 4) for letters in product("1a:-~.+_", repeat=size)]
    valid = answers("require Dpkg::Version; return scalar Dpkg::Version::version_check($_) ? 1 : 0", versions)
    assert [
        version for version, answer in zip(versions, valid, strict=True) if is_version(version) != (answer == "1")
    ] == []


WILDCARDS = [
    *("any", "all", "amd64", "arm64", "i386", "armhf", "armel", "source", "x32", "musl-linux-amd64"),
    *("linux-any", "any-amd64", "any-arm", "any-armhf", "any-i386", "gnu-any-any", "gnu-linux-any", "hurd-any"),
    *("linux-amd64", "linux-armhf", "linux-arm", "any-any-amd64", "any-any-any-any", "base-gnu-linux-amd64"),
    *("eabihf-any-any-any", "eabihf-gnu-linux-arm", "eabi-any-any-arm", "musl-any-any", "kfreebsd-any", "hurd-i386"),
    *("any-any-linux-any", "uclibc-linux-any", "any-linux-any", "bsd-any-any-any", "a-any-b-c-d", "any-", "-any"),
]


@pytest.mark.parametrize("architecture", ARCHITECTURES.values())
def test_wildcards_match_as_in_dpkg_architecture(architecture: str) -> None:
    script = "require Dpkg::Arch; return Dpkg::Arch::debarch_is($ARGV[0], $_) ? 1 : 0"
    found = answers(script, WILDCARDS, architecture)
    assert {name: matches(architecture, name) for name in WILDCARDS} == {
        name: answer == "1" for name, answer in zip(WILDCARDS, found, strict=True)
    }


def test_lists_of_architectures_are_read_as_by_dpkg() -> None:
    words = ["amd64", "!amd64", "!i386", "i386", "LINUX-any", "!gnu-any-any", "!hurd-any"]
    lists = [" ".join(some) for size in (1, 2, 3) for some in product(words, repeat=size)]
    script = "require Dpkg::Arch; return Dpkg::Arch::debarch_is_concerned('amd64', split ' ') ? 1 : 0"
    concerned = [answer == "1" for answer in answers(script, lists)]
    assert [is_concerned("amd64", text.split()) for text in lists] == concerned


RELATIONS = [
    "a", "a:any (>= 1)", "a (> 1.0)", "a(<1)", "a (<< 1:1~+b-2) [amd64] <!nocheck>", "a | b [!amd64] | c", "A.b+c-d",
    "a [linux-any !i386] <!x y> <z>", "a\n (= 1)\n\t[gnu-any-any]", "a , b,, c,", "a <x> | b <!x>", "a (1)", "a b",
    "a ()", "a [", "a <x", "a (>= 1) (<< 2)", "a (= 1\u00a0)", "a\u00a0(= 1)", "-a", "a:", "a:any:b", "a ( >=1 )", "|",
    "a |", "", "a (=> 1)", "a (<> 1)", "a (== 1)", "a [amd64,i386]", "a [!amd64 !arm64]", "a [AMD64]", "é",
]  # fmt: skip
DEPS = """
    require Dpkg::Deps;
    my $deps = Dpkg::Deps::deps_parse($_, build_dep => 1, reduce_restrictions => 1, host_arch => 'amd64',
        build_arch => 'amd64', build_profiles => [ 'x', 'nocheck' ]) // die;
    return join ',', map { join '|', map { join ' ', grep { defined } @{$_}{qw(package relation version)} }
        ($_->isa('Dpkg::Deps::OR') ? $_->get_deps() : $_) } $deps->get_deps();
"""


def test_relations_are_read_as_by_dpkg() -> None:
    for text, answer in zip(RELATIONS, answers(DEPS, RELATIONS), strict=True):
        relations = relations_of(text)
        if any(parse(relation) is None for relation in relations):
            assert answer == "error", text
        else:
            found = groups(text, "x86_64", ("x", "nocheck"))
            assert ",".join("|".join(" ".join(filter(None, each)) for each in group) for group in found) == answer, text


def test_profiles_that_a_build_can_use_are_those_that_are_negated() -> None:
    assert offered_profiles("a <!nocheck>, b <!stage1 cross> | c <!nodoc> <x>") == ("nocheck", "nodoc", "stage1")


CONTROLS = [
    f"Source: a\nDescription: b {SEPARATORS} c\n d {SEPARATORS}\n .\n ..\n  e\n\nPackage: x\n",
    "\n\n# c\nSource : a\nbuild-depends\t:b,\n# c\n c \r\n",
    "Source: a\n\n# only a comment\n\nPackage: b\n \n \t\nPackage: c\n",
    "Source: a\nsource: b\n",
    " Source: a\n",
    "Source: a\nfoo bar\n",
    "Source: a\n-Foo: b\n",
    "Source:\n a\n\tb\n",
    "Source:a:b : c\n",
]
STANZAS = """
    require Dpkg::Control;
    open my $fh, '<', \\$_ or die;
    my @stanzas;
    while (1) {
        my $stanza = Dpkg::Control->new(type => Dpkg::Control::CTRL_INFO_SRC());
        last unless $stanza->parse($fh, 'control');
        push @stanzas, join "\\x1d", map { lc($_) . "\\x1d$stanza->{$_}" } sort { lc($a) cmp lc($b) } keys %$stanza;
    }
    return join "\\x1f", @stanzas;
"""


def test_stanzas_are_read_as_by_dpkg() -> None:
    for text, answer in zip(CONTROLS, answers(STANZAS, CONTROLS), strict=True):
        try:
            stanzas = [sorted((name.lower(), value) for name, value in each.items()) for each in read_stanzas(text)]
        except BrokenStanza:
            assert answer == "error", text
            continue
        assert "\x1f".join("\x1d".join(part for field in each for part in field) for each in stanzas) == answer, text


def test_sources_of_debian_are_read_as_by_dpkg(tmp_path) -> None:
    sources = reading.dscs(sources_index())[::60]
    assert len(sources) > 500
    assert reading.differences(sources, tmp_path) == []
