"""Which job, on which runner."""
