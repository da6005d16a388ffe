"""Contents and indices of repositories.

contents          finished builds → contents of a repository
choice            which package an index lists when several builds made one of that name
package_set       packages with lookups by name; which package meets a relation of another
transition        published packages + newest builds → the changes that take place now, those that are held, and why
transition_draft  the same while it is made
publication       the same for the repositories of a suite and all their architectures
listing           contents → what the next snapshot lists
apt_index         texts of an apt repository: Packages, Sources, Release, sources and preferences of apt
"""
