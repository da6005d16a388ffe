"""Confinement by Linux namespaces. `namespaces` fulfils the port; `stage` is the program that runs between us and the
confined one; `idmap`, `watch`, `lacks` are its map of ids, its limits and what to say when the machine cannot."""
