"""Reports readiness, watchdog and status of a daemon to systemd (sd_notify(3)), in `notify`.

Uses the environment that systemd sets, and a datagram socket.
"""
