"""The copies of the machine's directories that KIWI works with."""

from __future__ import annotations

from cloud_builder.adapters.kiwi import userns_shims


def test_copy_of_the_dpkg_database_has_no_installation_in_progress(tmp_path):
    database = tmp_path / "machine/var/lib/dpkg"
    (database / "updates").mkdir(parents=True)
    for name in ("status", "status-new", "updates/0001"):
        (database / name).write_text("Package: git\n")
    binds = userns_shims.install(tmp_path / "work", {}, tmp_path / "machine")
    [copy] = [bind.source for bind in binds if bind.target == "/var/lib/dpkg"]
    assert sorted(str(path.relative_to(copy)) for path in copy.rglob("*")) == ["status", "updates"]
