"""The nearest valid name to a mistyped one, as flows and commands use it (the model's own checks use it, too)."""

from __future__ import annotations

from cloud_builder.model.nearest import did_you_mean, nearest

__all__ = ["did_you_mean", "nearest"]
