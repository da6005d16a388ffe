"""A request as a whole."""
