"""The lines of a log that `cb-ctl logs` shows: a step, the last lines, apt's output as one line."""

from __future__ import annotations

import pytest

from cloud_builder.cli.log_view import LogView
from cloud_builder.errors import Rejected

APT = """Reading package lists...
The following NEW packages will be installed:
  libgreet1 zlib1g
Get:1 http://deb.debian.org/debian bookworm/main amd64 zlib1g amd64 1 [10 kB]
Unpacking zlib1g (1) ...
Setting up zlib1g (1) ...
"""
LOG = f"""==> dependencies
layer 1 is made
{APT}E: it is broken
==> build
Unpacking the source
  a b
cc x.c
==> failure: no
"""
COLLAPSED = "  … 6 lines of apt and KIWI (--full shows them)\n"


def shown(log: str = LOG, size: int = 7, **options) -> str:
    """Returns what is shown of a log that arrives in pieces."""
    view = LogView(**options)
    data = log.encode()
    pieces = [view.feed(data[start : start + size]) for start in range(0, len(data), size)]
    return (b"".join(pieces) + view.end()).decode()


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_apt_is_one_line_in_steps_that_install_and_errors_stay(size: int) -> None:
    assert shown(size=size) == LOG.replace(APT, COLLAPSED)


def test_kiwi_is_one_line_with_apt_and_its_errors_stay() -> None:
    kiwi = "[ INFO    ]: 10:00:00 | Setting up repository\n" * 5
    log = f"==> root\n{kiwi}[ ERROR   ]: 10:00:01 | no such package\n"
    assert shown(log) == log.replace(kiwi, "  … 5 lines of apt and KIWI (--full shows them)\n")


def test_full_log_has_every_line() -> None:
    assert shown(collapse_apt=False) == LOG


def test_few_lines_of_apt_are_shown() -> None:
    few = "==> test\nReading package lists...\nSetting up a (1) ...\nok\n"
    assert shown(few) == few


def test_log_that_ends_in_apt_collapses_apt_and_keeps_its_last_line() -> None:
    assert shown("==> test\n" + APT) == "==> test\n" + COLLAPSED
    assert shown("==> build\nno end of line") == "==> build\nno end of line"


def test_step_has_its_own_lines_without_the_outcome() -> None:
    assert shown(step="build") == "==> build\nUnpacking the source\n  a b\ncc x.c\n"


def test_unknown_step_is_rejected_with_the_nearest() -> None:
    view = LogView(step="biuld")
    view.feed(LOG.encode())
    view.end()
    with pytest.raises(Rejected, match="biuld") as caught:
        view.check_step()
    assert caught.value.hint == "Did you mean build?"


def test_tail_is_of_the_shown_lines() -> None:
    assert shown(tail=2) == "cc x.c\n==> failure: no\n"
    assert shown(tail=1, step="dependencies") == "E: it is broken\n"


def test_tail_is_printed_at_the_end_so_far_then_all_lines_follow() -> None:
    view = LogView(tail=1)
    assert view.feed(b"==> build\na\nb\n") == b""
    assert view.catch_up() == b"b\n"
    assert view.feed(b"c\nd\n") == b"c\nd\n"
