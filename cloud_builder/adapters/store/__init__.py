"""The object store.

    directory   implements the port `ObjectStore` as a directory

Must not know Kafka, builds or repositories.
"""
