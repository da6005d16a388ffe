"""The decisions: pure functions from what is known to what should happen.

Time, ids and randomness come in as arguments; nothing is read, written or sent here. The scheduler daemon, the
command line and simulations all run this same code.

    records ── what is remembered of a request, a job, a runner
    graph   ── snapshots of all sources → who needs whom     relations ── what a package needs and offers
    expand  ── request + graph → jobs in order               cycle     ── members → rounds and build profiles
    ready   ── finished jobs → dependencies, input key       match     ── queue + runners → assignments
    advance ── job + report → job                            verdict   ── jobs → outcome of the request
    why     ── what is known → the cause, in words           draw      ── who needs whom, as a tree or a picture
"""
