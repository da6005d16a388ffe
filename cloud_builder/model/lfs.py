"""Git LFS pointers: the few lines that lie in git in place of a large file.

We read git alone, so whoever meets a pointer where content was expected says so by name. Format:
https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
"""

from __future__ import annotations

MOST_BYTES = 1024
"""A pointer is shorter than this."""
HINT = "Cloud Builder reads git without LFS: git lfs migrate export --include=FILE --everything, then push."
_BEGINNINGS = (b"version https://git-lfs.github.com/spec/", b"version https://hawser.github.com/spec/")


def is_pointer(content: bytes) -> bool:
    return len(content) < MOST_BYTES and content.startswith(_BEGINNINGS)


def message(name: str) -> str:
    """What is said of a file of that name."""
    return f"{name} is a Git LFS pointer, not the file itself"
