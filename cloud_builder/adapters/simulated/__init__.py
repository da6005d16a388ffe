"""Builds that are only played: for load tests and fault tests of the mesh. Never in a mesh that people use."""
