"""What the warehouse shows to the world over plain HTTP: reading only."""

from .server import Server, serve

__all__ = ["Server", "serve"]
