"""Decisions: pure functions that compute what should happen from the facts that they are given.

Time, ids and randomness are arguments. Must not read, write or send anything. The scheduler daemon, the command line
and simulations run the same code.

    source snapshots ─► graph ─► request ─► inputs ─► schedule ─► attempt ─► publish
                                    └────► preview

    graph       units of all sources → which unit needs which; dependency cycles
    request     accepted request + graph → jobs; jobs → outcome of the request
    inputs      finished jobs → dependencies and input key of the next job
    schedule    queued jobs + runners → assignments
    attempt     job + report of a runner → job; health of runners
    publish     finished builds → contents and indices of a repository
    preview     jobs → which of them would be built, and why (`cb-ctl plan`)

    why         facts about a job or request → its cause, in words (`cb-ctl why`)
    doctor      facts about a machine → what is wrong, and how to fix it (`cb-ctl doctor`)
    draw        dependencies → a tree or a picture

    records     requests, jobs and runners as frozen values
    relations   relation fields of packages (Build-Depends, Provides)
    architectures   Debian architectures, and the wildcards that match them

A package imports only from lower rows (checked by import-linter, see pyproject.toml):

    why, preview, request, publish, doctor, draw  >  schedule, inputs  >  attempt, graph  >  records, relations
    >  architectures
"""
