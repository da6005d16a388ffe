"""What a report makes of a job, and of a runner."""
