"""The inputs of a job and its input key.

inputs      needs → readiness; dependencies → inputs → input key
closure     relations → the artifacts that a build gets
artifacts   the artifacts of one request, by package name
"""
