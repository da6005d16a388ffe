"""Packages of units with the version that the distribution has, in the base root and among build dependencies."""

from __future__ import annotations

from cloud_builder.model.outcome import Outcome

IN_THE_ROOT, OF_DEBIAN, PROVIDED = "hostname", "libtry-tiny-perl", "libtext-glob-perl"
"""A package of the base root, one of Debian, and one of Debian whose name a package of the unit provides."""
STANZA = (
    "\nPackage: {name}\nArchitecture: all\nMulti-Arch: foreign\nProvides: {provides}\n"
    "Description: a namesake\n Its file says so.\n"
)


def test_package_of_a_unit_replaces_one_of_the_same_version(workspace, unit, libgreet) -> None:
    """Debian's libtest-fatal-perl depends on libtry-tiny-perl, so the layer below the unit's packages has Debian's."""
    [packages] = [artifact for artifact in libgreet.artifacts if artifact.kind == "packages"]
    with workspace.store.open(packages.sha256) as file:
        versions = dict(line.split()[:2] for line in file.read().decode().splitlines())
    control, rules = unit / "debian" / "control", unit / "debian" / "rules"
    source = "Source: libgreet\nBuild-Depends: debhelper-compat (= 13)\nMaintainer: T <t@localhost>\n"
    control.write_text(
        source + STANZA.format(name=IN_THE_ROOT, provides=PROVIDED) + STANZA.format(name=OF_DEBIAN, provides="namesake")
    )
    install = "".join(
        f"\tinstall -D -m644 debian/control debian/{name}/usr/share/namesake/{name}\n"
        for name in (IN_THE_ROOT, OF_DEBIAN)
    )
    generate = "".join(
        f"\tdh_gencontrol -p{name} -- -v{version}\n"
        for name, version in ((IN_THE_ROOT, versions[IN_THE_ROOT]), (OF_DEBIAN, "0.31-2"))
    )
    dh = "#!/usr/bin/make -f\n%:\n\tdh $@\noverride_dh_auto_build override_dh_auto_test:\n"
    rules.write_text(f"{dh}override_dh_auto_install:\n{install}override_dh_gencontrol:\n{generate}")
    for file in (unit / "debian").glob("*.install"):
        file.unlink()
    namesakes = workspace.build("broken")
    assert namesakes.outcome is Outcome.SUCCESS, namesakes.message

    used = source.replace("13)", f"13), libtest-fatal-perl, {OF_DEBIAN}, {IN_THE_ROOT}, {PROVIDED}")
    control.write_text(used + STANZA.format(name="user", provides="nobody"))
    rules.write_text(f"{dh}override_dh_auto_install:\n\tls /usr/share/namesake\n")
    user = workspace.build("broken", namesakes)
    assert user.outcome is Outcome.SUCCESS, user.message
    assert f"\n{IN_THE_ROOT}\n{OF_DEBIAN}\n" in workspace.log_text()
    assert f"Unpacking {PROVIDED}" not in workspace.log_text()
