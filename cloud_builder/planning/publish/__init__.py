"""Contents and indices of repositories."""
