"""cb-runner: takes an assignment, gets the source, the root and the layer ready, builds, uploads, reports.

`daemon` talks with the mesh; `pipeline` carries out one order; `buildroot` and `layers` keep what builds stand on;
`place` is where all that lies. May enter: ports, planning, model, errors. Never decides, signs or publishes.
"""
