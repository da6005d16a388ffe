"""Probes of the machine we run on, for `cb-ctl doctor`: what is there, never what that means (planning/doctor)."""
