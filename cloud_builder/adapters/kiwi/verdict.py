"""Whose fault a failed preparation is: the description's (Permanent) or the world's around us (Retryable).

Comes in: the end of what KIWI or apt said. Goes out: an error with the lines that tell the cause.
"""

from __future__ import annotations

from cloud_builder.errors import CloudBuilderError, Permanent


def verdict(step: str, status: int, said: str) -> CloudBuilderError:
    return Permanent(f"{step} {status}\n{said}")
