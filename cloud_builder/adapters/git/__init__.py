"""git: sources as bare mirrors, read object by object; nothing is ever checked out.

command.py   runs git, without prompts, with time limits; its words become our errors with a next step
objects.py   the tree of a commit and the content of files
export.py    a directory of a commit, written to disk
mirror.py    the port's adapter: refresh, resolve, and the above under one lock a mirror
"""

from .mirror import GitMirror

__all__ = ["GitMirror"]
