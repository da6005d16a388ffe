"""Between the broker and the flows: consume → decode → handle → outbox → commit.

Start reading at `loop.py`. May import ports, planning, model and errors; never an adapter, never a flow.
"""
