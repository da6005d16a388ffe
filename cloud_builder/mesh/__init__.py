"""The mesh between broker and flows: consume → decode → handle → outbox → commit. Start reading at `loop.py`.

loop              runs one flow: the cycle, start, outages, stop
reader            start positions; records → deliveries
codec             events ⇄ records (CloudEvents)
decode_errors     why a message cannot be decoded, in one line
processor         batch → transaction → handler; what follows an error
transaction       one transaction as a flow sees it
write_buffer      documents that a transaction wrote
outbox_relay      sends committed events
changelog         a state's copy on cb.state: written, replicated, rebuilt
leadership        leader and standby: epoch, heartbeat, replica
leader_heartbeat  the heartbeat during long transactions
deadletter        dead letters: made, listed, sent again
outage            logs outages of the broker, spaces the attempts
clock             time without jumps
logs              structured log lines
trace             W3C trace context
client            the mesh for cb-ctl: events, queries
replay            proof that reading all topics again changes nothing

May import ports, planning, model and errors; never an adapter, never a flow.
"""
