"""Carries out one build, without any mesh."""
