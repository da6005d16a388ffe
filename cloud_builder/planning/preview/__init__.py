"""What a request would do: `cb-ctl plan`."""
