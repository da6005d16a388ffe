"""Debian's formats: source packages, binary packages, build dependencies, apt repositories.

`debian.deb822` is imported by the functions that need it: it takes 4 MB, which a daemon that reads no package does
without."""
