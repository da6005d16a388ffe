"""A fake of every port, shipped: for fast tests and first looks. Holds nothing beyond the process."""
