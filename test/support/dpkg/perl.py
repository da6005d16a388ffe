"""Asks dpkg's Perl library: one process for many questions."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

_BETWEEN = "\x1e"


def answers(script: str, questions: Sequence[str], *arguments: str) -> list[str]:
    """Runs `script` for each question, in `$_`; returns what it returns, or `error` when it dies.

    The script is the body of a Perl function; `@ARGV` has the arguments."""
    program = f"""
        use strict; use warnings; no warnings 'uninitialized';
        my $text = do {{ local $/; <STDIN> }};
        sub answer {{ {script} }}
        print join "\\x1e", map {{ my $found = eval {{ answer() }}; defined $found ? $found : 'error' }}
            split /\\x1e/, $text, -1;
    """
    finished = subprocess.run(
        ["perl", "-e", program, *arguments], input=_BETWEEN.join(questions).encode(), capture_output=True, check=True
    )
    return finished.stdout.decode().split(_BETWEEN)
