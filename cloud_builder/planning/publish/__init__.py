"""Contents and indices of repositories.

contents    finished builds → contents of a repository
listing     contents → what the next snapshot lists
apt_index   texts of an apt repository: Packages, Sources, Release, sources and preferences of apt
"""
