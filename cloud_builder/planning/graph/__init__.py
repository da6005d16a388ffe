"""The dependency graph over the units of all sources.

graph         source snapshots → `Graph`
incremental   `Graph` + a changed unit → `Graph`, in milliseconds
resolve       relations of a unit → the units that they mean
scc           strongly connected components, and the level of each
profiles      a graph in which some units have further build profiles
cycle         members of a dependency cycle → rounds and build profiles
"""
