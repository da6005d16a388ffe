"""Which job gets the next slot, and on which runner. Pure functions and in-memory values, no I/O.

    queue.py             the job queue: jobs that could start, and the order in which they get slots
    queue_tree.py        the queued jobs by requirements, priority class, source and requester
    queued_job.py        queue entries, the queue's policy, sort keys
    fair_share.py        slots and slot-seconds of each source and requester; quotas
    fair_share_heap.py   the name with the smallest share, found without reading all names
    usage.py             recent slot-seconds as plain data, to be saved
    match.py             queue and free slots → assignments
    free_slots.py        an index of the runners: which ones are eligible for a job, and their free slots
    locality.py          the seconds that a runner's caches save for a job
    shared_queue.py      offers to all runners of a pool, and their claims
    unschedulable.py     why no runner can ever take a job

`queue.py` uses the modules below it up to `usage.py`; `match.py` uses the queue, the free slots and the locality.
"""
