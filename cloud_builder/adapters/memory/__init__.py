"""An implementation of each port in memory, for fast tests and first looks. Nothing outlives the process.

broker      Broker: lists of records
queue       OfferQueue: a share group over that broker
state       StateStore: SQLite without a file
store       ObjectStore: a dict
source      SourceMirror: commits made by method calls
repository  RepositoryWriter: keeps every published listing
builder     Builder: builds nothing
roots       RootMaker: a directory with the description
signer      Signer: a digest as the signature
"""
