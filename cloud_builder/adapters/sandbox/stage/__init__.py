"""The program between the runner and a confined one.

It runs by itself (`python -I -S`), so it imports only the standard library and its siblings, and all of that at the
start: after pivot_root there is nothing left to import from. Three processes, one file each:

    launch.py   outside the pid namespace: owns the ids, obeys the runner, cleans up
    inside.py   pid 1: mounts the root, reaps, and becomes the confined program in a child
    mounts.py, syscalls.py   what the two do to the kernel

A line of JSON each way on one socket: `spec.py` says which.
"""
