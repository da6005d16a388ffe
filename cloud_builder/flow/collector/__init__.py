"""The warehouse: verdicts in, published repositories out.

    job.finished (publish) ─► verify in the store ─► holding of its unit and target ─┐
    source.revised (followed) ─► what the source still has ──────────────────────────┤
                                                             tick: one snapshot for all that came in
                                                                                     └─► repository.published

It verifies, signs and publishes what runners built. It never builds, and never decides what is built.
"""

from .flow import CollectorFlow

__all__ = ["CollectorFlow"]
