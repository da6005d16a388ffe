"""Builds running programs from settings, adapters and flows.

daemon         the five programs: from the command line to the exit code
assemble       each daemon's flow with its adapters
settings       settings from defaults, file, variables and options
settings_tree  merges trees of settings, finds the line of a key
broker         from settings to the broker and its shared queues
public_url     the address of what cb-collector serves
standby        one of several schedulers: follow, take over, lead
stop_signals   signals → an event that stops a program
supervisor     `cb-ctl up`: a broker and the daemons as child processes
children       starts, restarts and stops child processes
parent_exit    ends a child with its parent
readiness      checks that a mesh has started completely
rundir         `<home>/run`: what daemons and cb-ctl know about the running mesh
local_build    `cb-ctl build` and `shell`: builds of a working tree without a mesh
try_package    `cb-ctl try`: installs packages into a throw-away root
doctor         `cb-ctl doctor`: runs the probes that the settings ask for
replay         `cb-ctl admin replay`: replays the daemons with copies of their states
schemas        schemas and reference pages, generated from the models

May import every layer except cli.
"""
