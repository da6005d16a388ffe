"""Contents and indices of repositories.

contents    finished builds → contents → listing of the next snapshot
apt_index   texts of an apt repository: Packages, Release, sources
"""
