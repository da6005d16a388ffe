"""cb-scheduler: owns all job state and dispatches jobs; the only writer of job events.

Input: accepted requests, source snapshots, heartbeats and reports of runners, publications. Output: assignments and
offers for runners, the state of every job, the end of every request. Must not: use git, files or build tools, or decide
what `cloud_builder.planning` decides; this package keeps the state and carries the decisions out.

    flow            which event is handled where; the tick
    config          the settings as these modules use them
    admission       admits, rejects, supersedes and cancels requests
    plan_request    answers requests that only ask what would be built
    jobs            the life of a job: inputs, reuse, queue, end, dependents
    dispatch        assigns queued jobs to free slots; heartbeats and leases
    shared_queue    offers jobs to a pool, grants claims
    results         reports of attempts and publications; ends requests
    deadline        deadlines of requests; unconfirmed runner losses
    unschedulable   reports jobs that no live runner takes
    job_events      makes and emits the events about jobs and requests
    retention       deletes old documents
    deleted_packages  which commit deleted the unit of a package

    state           what is in memory, changed together with its documents:
    job_index         the open jobs, the job queue, duplicates, dependents
    request_index     the open requests
    runner_table      the live runners, their jobs and free slots
    quarantine        the health of runners
    published         the newest published packages
    versions          published versions; builds again what has other contents
    sources           the source catalog and its dependency graph
    deferred          requests that wait for a source snapshot

    job_store, snapshot_store, usage_store, build_results   typed access to collections of documents

The path of one event, an `attempt.finished` with success:

    flow.handle → results.on_attempt_finished → planning.attempt.transitions.finish    job + report → finished job
      → jobs.finish_job → state.save_job            memory and documents
                        → job_events                `job.finished`
      → jobs.unblock_dependents → resolve_inputs    dependents are reused, blocked or queued
    flow.tick   → dispatch.dispatch_jobs            queued jobs → `job.assigned`
                → results.finish_requests           no open job is left → `request.finished`

Imports between these modules go one way only: the state's modules import no handler.
"""

from .flow import SchedulerFlow

__all__ = ["SchedulerFlow"]
