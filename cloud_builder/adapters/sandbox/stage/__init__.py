"""The program between the runner and a confined program.

It runs as a process of its own (`python -I -S`) and starts fast. It imports only a few modules of the standard library
and its siblings, all of them at the start: after pivot_root the modules are out of reach.

    launch     first process, outside the pid namespace: owns the ids, follows the runner's commands, cleans up
    inside     pid 1: mounts the root, reaps processes; its child becomes the confined program
    spec       messages between runner and stage, JSON lines on one socket
    mounts     the root file system of a run
    measure    disk and shared memory that a run uses
    seccomp    the filter of system calls
    syscalls   system calls that Python lacks
"""
