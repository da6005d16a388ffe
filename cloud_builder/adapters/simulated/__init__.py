"""Simulated builds for load tests and fault tests of the mesh. Not for production.

builder   simulates a build (the port Builder)
package   makes a small reproducible .deb
"""
