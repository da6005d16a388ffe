"""cb-ctl, the command line. One module for each verb or group of verbs; a verb's module is loaded when the verb runs.

main, lazy, options        the table of verbs, groups that load them late, the options of every verb
session                    one command's connection to the mesh
output, terminal           tables, JSON and colours; text without control sequences
up, startup, down          start and stop the mesh of this machine
source                     add, list and remove sources
request, request_options   request, watch and cancel; the options that request and plan share
request_poller, watch, request_summary   read a request again and again, show its course, show its end
plan, why, graph, status, lists          views of what cb-info and cb-scheduler answer
logs, log_excerpt          print a log; find the cause of a failure in it
get, download              download artifacts, and verify them
build, check               build or check a working tree, without a mesh
try_package                install from a published repository into a throw-away root
doctor, deadletter, admin  checks of the machine, dead letters, commands for operators
completion, completers     completion in a shell

Messages go to stdout; errors, each with the next step, go to stderr. The exit code is one of `errors.ExitCode`.

Must not: decide what to build. It sends events, and queries cb-info.
"""
