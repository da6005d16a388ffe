"""The object store as a directory. Knows the file system and nothing of Kafka, builds or repositories."""
