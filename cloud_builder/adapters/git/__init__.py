"""Sources as bare git mirrors, read object by object; nothing is checked out.

mirror    implements the port `SourceMirror`
bare      one mirror on disk: made, refreshed, and completed by missing commits and files
command   runs git without prompts and with time limits; its messages become errors with a next step
objects   the tree of a commit, and the content of files
links     follows the links of a directory that lead to other places of the commit
lfs       finds files in Git LFS, and fetches them by git-lfs
export    writes a directory of a commit to disk
"""

from .mirror import GitMirror

__all__ = ["GitMirror"]
