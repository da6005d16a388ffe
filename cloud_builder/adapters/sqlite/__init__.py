"""The port StateStore in one SQLite file.

state   documents, seen events, positions, outbox
schema  tables
packet  records of the outbox as bytes
lock    one process for each file
backup  a copy while the daemon works
"""
