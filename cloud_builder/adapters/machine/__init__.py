"""Probes this machine for `cb-ctl doctor`. Probes return facts; planning/doctor judges them.

host   kernel, programs, file systems, ports, the sandbox
key    the signing key
"""
