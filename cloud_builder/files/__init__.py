"""Locks, durable writes and disk errors: what several packages need from a local file system.

    locks         a lock file: one owner at a time among threads and processes
    directories   directories that are locked while in use; leftovers of killed processes
    durable       files and renames that survive a power failure
    disk_errors   `OSError` → `Retryable`, with the cause and the next step

Belongs here: code about files and directories that knows nothing of their contents. Imports: the standard library and
`cloud_builder.errors`. Must not be imported by `model`, `planning` or `ports`, which do no I/O.
"""
