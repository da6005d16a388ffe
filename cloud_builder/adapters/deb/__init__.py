"""Debian's formats: source packages, binary packages, build dependencies, apt repositories.

    recipe             the port Recipe; delegates to the modules beside it
    stanzas            reads and writes stanzas of control files
    changelog          reads the newest entry of debian/changelog
    source_form        decides how a source with debian/ is packed
    source_layout      reads the texts of a source, in git or on disk
    source             reads the source package of a directory, and checks its files
    control            reads names and relations from debian/control or a *.dsc (the port MetadataReader)
    source_versions    reads the versions that a source tree will provide
    runtime_depends    reads what the packages of a source tree will depend on
    relations          names in relation fields
    build_deps         installs build dependencies into a layer, and explains why it failed
    unmet              explains from apt's reports why build dependencies are not met
    build_commands     unpacks and builds a source
    log_patterns       ranks the lines of a build log
    outputs            collects what a build left
    distribution       finds packages that the distribution has, too
    binary_package     reads a .deb
    package_test       installs what a build made, and runs the tests of its manifest
    install_test       installs published packages for `cb-ctl try`
    source_package     reads a .dsc
    repository         writes apt repositories (the port RepositoryWriter)
    pool_directory     files of a repository, and their stanzas in its indices
    snapshots          the directory of a repository: writes snapshots, makes one live, prunes old ones
    repository_state   digests of the metadata of foreign repositories (the port RepositoryStates)

`debian.deb822` is imported by the functions that use it: it takes 4 MB, which a daemon that reads no package saves.
"""
