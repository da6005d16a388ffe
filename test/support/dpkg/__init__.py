"""Compares the readers of the project with dpkg's own library, on the same texts."""
