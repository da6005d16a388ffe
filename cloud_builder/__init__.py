"""Builds Debian packages from git repositories and publishes them in signed apt repositories.

rpm packages, KIWI images and labs are planned.

Layers, lowest first; a module imports only from layers below its own:

    errors < files | model < ports | planning < adapters | builder | mesh | flow < wiring < cli
"""

__version__ = "0.1.0"
