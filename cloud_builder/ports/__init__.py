"""Protocols of what the flows need from outside. Adapters implement them; nothing here does I/O.

mesh        Flow, UnitOfWork: between a daemon's flow and the mesh loop
broker      Broker, Consumer, Producer: topics, partitions, offsets
queue       OfferQueue: offers that the runners of a pool share
state       StateStore: a daemon's documents, positions and outbox
health      HealthReporter: the service manager
store       ObjectStore: files by their sha256
source      SourceMirror: git
metadata    MetadataReader, RepositoryStates: a unit's packaging, and the repositories of its build root
builder     Builder: carries out one assignment
recipe      Recipe: one package format
buildroot   RootMaker: base build roots
sandbox     Sandbox: one confined program
repository  RepositoryWriter: package repositories and their snapshots
signer      Signer: the signing key
"""
