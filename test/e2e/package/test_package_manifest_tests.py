"""The test commands of a manifest, with the built packages installed."""

from __future__ import annotations

from cloud_builder.model.outcome import Outcome

TEST = """
test:
  packages: [libgreet1]
  commands:
    - |
      test "$(dpkg-query -W -f '${Version}' libgreet1)" = 1.0.0
      ! dpkg-query -W libgreet-dev
    - test "$(id -u) $PWD" = "0 /source" && test -f debian/control && ! touch debian/control
    - "! getent hosts deb.debian.org && touch /kept"
    - test -f /kept
    - echo that is wrong; exit 3
    - echo never
"""


def test_commands_run_in_order_until_one_fails_which_fails_the_job(workspace, unit) -> None:
    manifest = unit / ".cb" / "cloud_builder.yml"
    manifest.write_text(manifest.read_text().replace("libgreet", "broken") + TEST)
    finished = workspace.build("broken")
    assert (finished.outcome, finished.code, finished.step) == (Outcome.FAILURE, "test-failed", "test")
    first = "libgreet 1.0.0: the test `echo that is wrong; exit 3` failed with exit status 3"
    assert finished.message.splitlines() == [first, "  | that is wrong"]
    assert finished.artifacts == ()
    log = workspace.whole_log(finished)
    assert log.index("Setting up libgreet1") < log.index("+ test -f /kept") < log.index("\nthat is wrong")
    assert "never" not in log
