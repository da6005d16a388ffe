"""Points in time and digests as people read them. Durations, sizes and lists: cloud_builder/model/text.py."""

from __future__ import annotations

from cloud_builder.model.text import duration


def ago(then: float, now: float) -> str:
    """Returns `5 min ago`; empty if the time is not known (0)."""
    return f"{duration(now - then)} ago" if then else ""


def within(then: float, now: float) -> str:
    """Returns `in about 5 min`; `any moment` if the time is less than a second away, or over."""
    return f"in about {duration(then - now)}" if then - now >= 1 else "any moment"


def short(digest: str | None) -> str:
    """Returns the first 12 digits of a digest or a revision; `none` if there is none."""
    return digest[:12] if digest else "none"


def comma_list(*parts: str) -> str:
    """Returns the parts that are not empty, separated by commas."""
    return ", ".join(part for part in parts if part)


START_RUNNER = "Start one: cb-runner, or cb-ctl up --runners 1."
"""The next step when there is no runner."""
CHECK_SCHEDULER = "Check that cb-scheduler runs, and read its log. cb-ctl doctor checks the machine."
"""The next step when the scheduler should have done something by now."""
