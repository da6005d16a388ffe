"""The one door to other programs: nothing else in Cloud Builder starts a process.

`run` starts a program, waits, and returns what it printed; `spawn` starts one whose output is read as it comes.
"""

from subprocess import DEVNULL, PIPE, STDOUT, Popen

from .run import Finished, run, spawn

__all__ = ["DEVNULL", "PIPE", "STDOUT", "Finished", "Popen", "run", "spawn"]
