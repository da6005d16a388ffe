"""Errors of a failed build root, from real output of KIWI and apt: the class, the code and the cause."""

from __future__ import annotations

import pytest

from cloud_builder.adapters.kiwi.errors import error_from_output
from cloud_builder.errors import Permanent, Retryable

PROGRESS = "[ INFO    ]: Processing: [      ] 0%\r[ INFO    ]: Processing: [####] 100%\n"
SCHEMA = """\
[ INFO    ]: 11:03:32 | RelaxNG validation failed. See jing report:
[ INFO    ]: 11:03:32 | --> jing: , stdout: /var/tmp/kiwi_xslt-jb9:22:54: error: value of attribute "type" is invalid
[ ERROR   ]: 11:03:32 | KiwiDescriptionInvalid: Failed to validate schema and/or schematron rules.
"""
UNKNOWN = """\
[ ERROR   ]: 11:04:10 | KiwiInstallPhaseFailed:
System package installation failed: E: Unable to locate package fakeroooot
"""
NO_SUITE = """\
[ ERROR   ]: 11:03:35 | KiwiDebianBootstrapError: KiwiCommandError: apt-get: stderr: W: unsandboxed
E: Failed to fetch http://deb.debian.org/debian/dists/bokworm/Release  404  Not Found [IP: 203.0.113.80 80]
"""
REFUSED = """\
[ ERROR   ]: 11:03:45 | KiwiDebianBootstrapError: KiwiCommandError: apt-get: stderr: E: Failed to fetch \
http://127.0.0.1:9/debian/dists/bookworm/InRelease  Could not connect to 127.0.0.1:9 (Connection refused)
E: Some index files failed to download. They have been ignored, or old ones used instead.
"""
NO_NAME = "E: Failed to fetch http://nosuch.invalid/debian/dists/x/InRelease  Could not resolve 'nosuch.invalid'\n"
MOVED_ON = "E: Failed to fetch http://m/pool/a/a_1_amd64.deb  404  Not Found [IP: 203.0.113.80 80]\n"
BUSY = """\
E: Failed to fetch http://m/debian/dists/bookworm/InRelease  503  Service Unavailable [IP: 127.0.0.1 35815]
E: The repository 'http://m/debian bookworm InRelease' is not signed.
"""
SILENT = "E: Failed to fetch http://m/debian/dists/bookworm/InRelease  Connection failed [IP: 127.0.0.1 57317]\n"
SLOW = "E: Failed to fetch http://m/debian/dists/bookworm/InRelease  Connection timed out [IP: 203.0.113.80 80]\n"
PORTAL = "E: Failed to fetch http://m/InRelease  Clearsigned file isn't valid, got 'NOSPLIT' (does the network require \
authentication?)\n"
FORGED = """\
W: GPG error: http://m/debian bookworm InRelease: The following signatures were invalid: BADSIG 0E98404D386FA1D9 Debian
E: The repository 'http://m/debian bookworm InRelease' is not signed.
"""
OLD = "E: Release file for http://m/debian/dists/sid/InRelease is expired (invalid since 3d 2h).\n"
NO_KEY = """\
W: GPG error: http://m/flat ./ InRelease: The following signatures couldn't be verified because the public key is not \
available: NO_PUBKEY 3CE58DE3E69CC2C3
E: The repository 'http://m/flat ./ InRelease' is not signed.
"""
FULL = "dpkg: error: cannot write: No space left on device\n[ ERROR   ]: 11:00:00 | KiwiInstallPhaseFailed: x\n"


@pytest.mark.parametrize(
    ("output", "error", "code", "cause"),
    [
        (SCHEMA, Permanent, "root", 'value of attribute "type" is invalid'),
        (PROGRESS + UNKNOWN, Permanent, "root", "Unable to locate package fakeroooot"),
        (NO_SUITE, Permanent, "root", "404  Not Found"),
        (REFUSED, Retryable, "repository", "Could not connect"),
        (NO_NAME, Retryable, "repository", "Could not resolve"),
        (BUSY, Retryable, "repository", "503  Service Unavailable"),
        (SILENT, Retryable, "repository", "Connection failed"),
        (SLOW, Retryable, "repository", "Connection timed out"),
        (PORTAL, Retryable, "repository", "NOSPLIT"),
        (FORGED, Retryable, "repository", "BADSIG"),
        (OLD, Retryable, "repository", "is expired"),
        (NO_KEY, Permanent, "root", "NO_PUBKEY"),
        (MOVED_ON, Retryable, "repository", "a_1_amd64.deb"),
        (FULL, Retryable, "disk-full", "KiwiInstallPhaseFailed"),
        ("something unheard of\n", Permanent, "root", "something unheard of"),
        ("", Permanent, "root", "printed no cause"),
    ],
)
def test_error_of_kiwi_has_class_code_and_cause(output, error, code, cause):
    found = error_from_output("build_root.kiwi", output)
    assert type(found) is error
    assert found.code == code
    assert cause in found.message
    assert found.hint


def test_error_of_an_unsigned_repository_shows_how_to_name_its_key():
    assert "<signing key=" in error_from_output("build_root.kiwi", NO_KEY).hint
