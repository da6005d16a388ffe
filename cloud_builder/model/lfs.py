"""Git LFS pointers: the few lines that git stores in place of a large file.

Where git-lfs is installed, files in LFS are fetched for a build. A reader that finds a pointer instead of the content
reports it with `message`.
Format: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
"""

from __future__ import annotations

MAX_POINTER_BYTES = 1024
"""A pointer is shorter than this (specification: less than 1024 bytes)."""
HINT = (
    "Install git-lfs on the machines of cb-request and of the runners, or take the file out of LFS: "
    "git lfs migrate export --include=FILE --everything, then push."
)
_BEGINNINGS = (b"version https://git-lfs.github.com/spec/", b"version https://hawser.github.com/spec/")


def is_pointer(content: bytes) -> bool:
    """Returns whether the content of a file is a pointer. `content`: at least its first `MAX_POINTER_BYTES`."""
    return len(content) < MAX_POINTER_BYTES and content.startswith(_BEGINNINGS)


def message(name: str) -> str:
    """Returns the error message for the file with that name."""
    return f"{name} is a Git LFS pointer, not the file itself"
