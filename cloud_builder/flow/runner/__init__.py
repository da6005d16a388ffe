"""cb-runner: takes assignments from the mesh, has the builder carry them out, and reports.

    flow              assignments, reports and heartbeats: the daemon as the mesh loop sees it
    claims            shared-queue dispatch: takes offers, claims them, waits for grants
    build_slots       the slots and the builds in them
    active_build      one build in a slot
    build_threads     the threads in which builds run
    livelog           the live log of one attempt
    attempt_journal   unfinished assignments and results, stored before a build begins
    attempt_reports   reports of attempts that did not end by their build
    cache_inventory   cached sources, build roots and layers, announced with heartbeats

May import ports, planning, model and errors. Must not build (`cloud_builder.builder` does), decide, sign or publish.
"""
