"""Debian's formats: source packages, binary packages, build dependencies, apt repositories."""
