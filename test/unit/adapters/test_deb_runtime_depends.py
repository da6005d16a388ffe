"""Reading what packages will depend on at run time from debian/control."""

from __future__ import annotations

import pytest

from cloud_builder.adapters.deb.runtime_depends import runtime_depends


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"Depends": "${shlibs:Depends}, ${misc:Depends}"}, ""),
        ({"Depends": "libgreet1 (= ${binary:Version}), base (>= 2),\n ${misc:Depends}"}, "libgreet1, base (>= 2)"),
        ({"Depends": "base", "Pre-Depends": "${misc:Pre-Depends}, early"}, "early, base"),
        ({"Depends": "libx-${python3:Version}, ${java:Depends} | jre | jdk"}, "jre | jdk"),
        ({"Depends": "base (>= ${source:Upstream-Version}) [amd64], end"}, "base [amd64], end"),
        ({"Recommends": "more"}, ""),
    ],
)
def test_relations_are_those_that_are_known_before_the_build(fields, expected):
    found = runtime_depends([{"Package": "p", **fields}, {"Package": "q"}])
    assert found == ({"p": expected} if expected else {})
