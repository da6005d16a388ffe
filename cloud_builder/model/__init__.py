"""The nouns: frozen values, without I/O. May import only `cloud_builder.errors`."""
