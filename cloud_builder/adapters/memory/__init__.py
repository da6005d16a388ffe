"""A fake of every port, in memory: for tests and first looks. Held to the same contract suites as the real ones."""
