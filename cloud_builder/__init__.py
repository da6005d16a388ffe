"""Cloud Builder: from a git commit to signed package repositories, images and labs.

Layers, lowest first; a module imports only from layers below its own:

    errors < model < ports | planning < adapters | mesh | flow < wiring < cli
"""

__version__ = "0.1.0"
