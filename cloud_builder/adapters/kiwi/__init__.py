"""Base roots by KIWI NG, without privileges.

root           prepares a build root (the port RootMaker)
description    reads package manager and repositories from a build_root.kiwi
keys           collects the keys that repositories are checked against
userns_shims   lets KIWI work in a user namespace
errors         makes an error from the output of KIWI
apt            finishes a root of apt, so that build dependencies can be installed later; one file a package manager
"""
