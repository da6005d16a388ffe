"""Serves repositories and objects over plain HTTP, read-only.

server    listens, one thread a connection
handler   HTTP/1.1: GET, HEAD, ranges, "not modified"
site      maps paths of URLs to files and pages
"""

from .server import Server, serve

__all__ = ["Server", "serve"]
