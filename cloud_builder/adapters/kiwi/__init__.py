"""Base roots by KIWI NG, run without root: `root` fulfils the port, `description` reads what the maker must know of a
build_root.kiwi, `mends` lets KIWI work in a user namespace, `verdict` tells whose fault a failure is, and one file a
package manager (`apt`) finishes the root so that build dependencies can be installed later."""
