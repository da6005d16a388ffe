"""systemd, as far as a daemon speaks with it: readiness, watchdog and one line of status (sd_notify(3)).

May enter: nothing but the environment that systemd gives, and a datagram socket.
"""
