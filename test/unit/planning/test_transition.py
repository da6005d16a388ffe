"""Which changes of the published packages take place, and that each snapshot can be installed as a whole."""

from __future__ import annotations

import pytest

from cloud_builder.model.ids import JobId, RepositoryName, UnitPath
from cloud_builder.model.repository import ListedPackage
from cloud_builder.planning.publish.package_set import PackageKey, PackageSet
from cloud_builder.planning.publish.transition import Transition, transition
from cloud_builder.planning.publish.transition_draft import Reason
from support.factories import deb

REPOSITORY = RepositoryName("demo-bookworm")


def made(unit: str, name: str, version: str = "1", **fields: str) -> ListedPackage:
    """Returns a package of a unit."""
    artifact = deb(name, version, **fields)
    job_id = JobId(f"r{version}.{unit}")
    return ListedPackage(unit=UnitPath(unit), target="bookworm.x86_64", sequence=1, job_id=job_id, artifact=artifact)


def packages(*listed: ListedPackage) -> dict[PackageKey, ListedPackage]:
    return {(REPOSITORY, package.package.name): package for package in listed}


def after(
    before: list[ListedPackage], newest: list[ListedPackage], **options: object
) -> tuple[list[str], dict[str, str], dict[str, str]]:
    """Returns what is published, the held units and the kept packages, with their reasons."""
    published, built = packages(*before), packages(*newest)
    keys = published.keys() | built.keys()
    changes = {key: built.get(key) for key in keys if published.get(key) != built.get(key)}
    decision: Transition = transition(PackageSet(published), changes, **options)  # type: ignore[arg-type]
    result = {key: new for key, new in {**published, **decision.changes}.items() if new is not None}
    held = {str(unit): reason.text for (_, (unit, _)), reason in decision.held.items()}
    return sorted(map(str, result.values())), held, {name: reason.text for (_, name), reason in decision.kept.items()}


LIB1, LIB2 = made("lib", "lib1"), made("lib", "lib2", "2")
APP1, APP2 = made("app", "app", "1", depends="lib1, libc6"), made("app", "app", "2", depends="lib2, libc6")


def test_library_with_a_new_name_stays_for_the_package_that_needs_it() -> None:
    assert after([LIB1, APP1], [LIB2, APP1]) == (
        ["app 1", "lib1 1", "lib2 2"],
        {},
        {"lib1": "app 1 of app needs it"},
    )


def test_library_leaves_with_the_last_package_that_needs_it() -> None:
    assert after([LIB1, LIB2, APP1], [LIB2, APP2]) == (["app 2", "lib2 2"], {}, {})


def test_packages_that_need_each_others_version_are_published_together() -> None:
    old = [made("lib", "lib"), made("app", "app", depends="lib (= 1)")]
    lib, app = made("lib", "lib", "2"), made("app", "app", "2", depends="lib (= 2)")
    published, held, _ = after(old, [lib, old[1]])
    assert published == ["app 1", "lib 1"]
    assert held == {"lib": "app 1 of app, which is published, needs lib (= 1)"}
    assert after(old, [lib, app]) == (["app 2", "lib 2"], {}, {})


def test_package_waits_for_the_held_one_that_it_needs() -> None:
    old = [made("lib", "lib"), made("app", "app", depends="lib (= 1)"), made("tool", "tool", depends="lib")]
    newest = [made("lib", "lib", "2"), old[1], made("tool", "tool", "2", depends="lib (>= 2)")]
    published, held, _ = after(old, newest)
    assert published == ["app 1", "lib 1", "tool 1"]
    assert held["tool"] == "tool 2 needs lib (>= 2), and lib 2 of lib is held"


def test_packages_of_a_unit_are_held_together() -> None:
    old = [made("lib", "lib"), made("lib", "lib-doc"), made("app", "app", depends="lib (= 1)")]
    newest = [made("lib", "lib", "2"), made("lib", "lib-data", "2"), old[2]]
    published, held, kept = after(old, newest)
    assert (published, sorted(held), kept) == (["app 1", "lib 1", "lib-doc 1"], ["lib"], {})


def test_build_against_a_library_that_was_replaced_meanwhile_is_held() -> None:
    late = made("app", "app", "2", depends="lib (= 2)")
    published, held, _ = after([made("lib", "lib")], [made("lib", "lib", "3"), late])
    assert published == ["lib 3"]
    assert held == {"app": "app 2 needs lib (= 2); made is lib 3"}


def test_build_against_a_former_name_is_held() -> None:
    late = made("app", "app", "2", depends="lib2")
    was_made = {"lib2"}.__contains__
    published, held, _ = after([LIB1, APP1], [made("lib", "lib3", "3"), late], was_made=was_made)
    assert published == ["app 1", "lib1 1", "lib3 3"]
    assert held == {"app": "app 2 needs lib2; no unit makes it any longer"}


@pytest.mark.parametrize("depends", ["libc6 (>= 2.36)", "lib9 | libc6", "mail-transport-agent"])
def test_names_that_no_unit_made_are_the_distributions(depends: str) -> None:
    assert after([], [made("app", "app", depends=depends)]) == (["app 1"], {}, {})


def test_relation_that_was_never_met_holds_nothing() -> None:
    broken = made("app", "app", depends="lib (= 9)")
    assert after([broken, made("lib", "lib")], [broken, made("lib", "lib", "2")]) == (["app 1", "lib 2"], {}, {})


def test_virtual_package_that_a_published_package_needs_stays() -> None:
    old = made("lib", "lib", provides="lib-abi-1")
    app = made("app", "app", depends="lib-abi-1")
    published, held, _ = after([old, app], [made("lib", "lib", "2", provides="lib-abi-2"), app])
    assert (published, list(held)) == (["app 1", "lib 1"], ["lib"])


def test_deleted_packages_that_need_only_each_other_leave_together() -> None:
    gone = [made("a", "a", depends="b"), made("b", "b", depends="a")]
    assert after([*gone, LIB1], [LIB1]) == (["lib1 1"], {}, {})


def test_deleted_library_stays_with_what_it_needs_itself() -> None:
    data, lib = made("data", "data"), made("lib", "lib", depends="data")
    app = made("app", "app", depends="lib")
    published, _, kept = after([data, lib, app], [app])
    assert (published, sorted(kept)) == (["app 1", "data 1", "lib 1"], ["data", "lib"])


def test_awaited_package_stays_until_its_new_unit_has_made_it() -> None:
    tool, moved = made("old/tool", "tool"), made("new/tool", "tool", "2")
    reason = Reason("new/tool is to make it", UnitPath("new/tool"))
    awaited = {(REPOSITORY, "tool"): reason}
    assert after([tool], [], awaited=awaited) == (["tool 1"], {}, {"tool": reason.text})
    assert after([tool], [moved]) == (["tool 2"], {}, {})


def test_package_that_breaks_an_older_one_waits_for_the_newer_one() -> None:
    old = [made("a", "a"), made("b", "b")]
    a = made("a", "a", "2", conflicts="b (<< 2)")
    published, held, _ = after(old, [a, old[1]], is_behind=lambda build: build[1][0] == "b")
    assert published == ["a 1", "b 1"]
    assert held == {"a": "a 2 excludes b 1 of b, whose newer build is not published yet"}
    assert after(old, [a, made("b", "b", "2")])[0] == ["a 2", "b 2"]


def test_exclusion_of_a_package_without_a_newer_build_is_meant() -> None:
    old = [made("a", "a"), made("b", "b")]
    assert after(old, [made("a", "a", "2", conflicts="b"), old[1]]) == (["a 2", "b 1"], {}, {})


def test_package_that_excludes_what_needs_it_is_held() -> None:
    old = [made("lib", "lib"), made("app", "app", depends="lib")]
    published, held, _ = after(old, [made("lib", "lib", "2", conflicts="app (<< 2)"), old[1]])
    assert (published, list(held)) == (["app 1", "lib 1"], ["lib"])


def test_package_is_not_kept_for_a_build_that_is_held() -> None:
    """`tool` would need `lib1` in its new build only, and that build is held."""
    old = [LIB1, made("x", "x"), made("y", "y", depends="x (= 1)"), made("tool", "tool")]
    newest = [made("x", "x", "2"), old[2], made("tool", "tool", "2", depends="lib1, x (= 2)")]
    published, held, kept = after(old, newest)
    assert published == ["tool 1", "x 1", "y 1"]
    assert (sorted(held), kept) == (["tool", "x"], {})


def test_repository_that_publishes_at_once_holds_and_keeps_nothing() -> None:
    old = [LIB1, APP1, made("x", "x"), made("y", "y", depends="x (= 1)")]
    newest = [LIB2, APP1, made("x", "x", "2"), old[3]]
    published, held, kept = after(old, newest, at_once={REPOSITORY})
    assert (published, held, kept) == (["app 1", "lib2 2", "x 2", "y 1"], {}, {})


def test_name_that_the_build_root_had_from_outside_is_not_ours() -> None:
    app = made("app", "app", "2", depends="lib1").model_copy(update={"outside": ("lib1",)})
    assert after([LIB1, APP1], [app]) == (["app 2"], {}, {})
    assert after([], [app], was_made={"lib1"}.__contains__) == (["app 2"], {}, {})
