"""cb-scheduler: the brain, and the only writer of job state.

In come accepted requests, snapshots of sources, heartbeats and reports of runners, and what the collector published.
Out go orders to runners, the state of every job, and the end of every request. It never touches git, files or build
tools, and it decides nothing by itself: `cloud_builder.planning` does; this package keeps the state and carries out.

    atlas     the units of all sources
    flow      which event goes where           intake    requests become jobs
    world     the open requests and jobs       dispatch  jobs become orders; leases
    progress  reports become verdicts          telling   what the others are told
    usage     what sources used lately, kept   retention what is forgotten
    virtual   published packages by what they provide
"""

from .flow import SchedulerFlow

__all__ = ["SchedulerFlow"]
