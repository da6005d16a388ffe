"""Confinement by Linux namespaces, without root on the machine.

namespaces       implements the port `Sandbox`
stage_session    one run of the stage, seen from the runner
stage/           the program between the runner and the confined program
idmap            which ids of the machine stand for which ids inside
cgroups          exact limits on memory and processes, where the machine delegates a control group
limit_monitor    decides which limit a run has exceeded
resource_usage   what a run uses, read from /proc
scratch          side directories of runs
host_errors      errors of an unsuitable machine, with the command that fixes it
"""
