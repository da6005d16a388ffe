"""The dependency graph over the units of all sources.

graph             `Graph`: units and what they need
build             source snapshots → `Graph`
incremental       `Graph` + a changed unit → `Graph`, in milliseconds
resolve           relations of a unit → the units that they mean
unit_edges        edges between units, over edges that lead through packages
nearest_provider  what units have instead of a missing package
scc               strongly connected components, and the level of each
profiles          a graph in which some units have further build profiles
cycle             members of a dependency cycle → rounds and build profiles
"""
