"""Carries out one build, without a mesh: in the runner, in `cb-ctl build` and in `cb-ctl shell`.

package           one attempt from fetch to upload: implements `ports.builder.Builder`
task              what to build: an assignment of the mesh, or a directory of a working tree
steps             the steps between a source directory and its packages
buildroot_cache   base root file systems, shared through the object store
layer_cache       installed build dependencies, stacked on a build root
layer_install     makes a layer: installs build dependencies in the sandbox
manifest_tests    installs what was built, and runs the commands of the manifest's `test`
build_log         log, steps and timings of one build
outcome           an error or a result → outcome, cause and next step
attempt_timeout   the time limit of a whole attempt
"""
