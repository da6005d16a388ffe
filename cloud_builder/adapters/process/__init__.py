"""Starts programs; no other code of Cloud Builder starts a process.

run        `run` starts a program, waits, and returns its output; `spawn` returns while it runs
packages   which Debian package contains a program, for the hint of "not installed"
"""

from subprocess import DEVNULL, PIPE, STDOUT, Popen

from .run import Finished, run, spawn

__all__ = ["DEVNULL", "PIPE", "STDOUT", "Finished", "Popen", "run", "spawn"]
