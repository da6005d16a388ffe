"""What a job is built with, and its key."""
