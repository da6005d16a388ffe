"""Checks that the signing key can be read by its user only, and does not expire soon."""

from __future__ import annotations

from collections.abc import Iterator

from .facts import Facts, KeyFacts
from .finding import Finding, Level, ok

EXPIRES_SOON = 30 * 86400.0
"""Seconds: a key that expires within them is a warning."""


def check_key(facts: Facts) -> Iterator[Finding]:
    key = facts.key
    if key is None:
        return
    if key.foreign:
        fix = f"chown -R {facts.user} {key.home}"
        yield Finding("key", Level.ERROR, f"{key.home} does not belong to user {facts.user}", fix)
    if key.open_files:
        message = f"other users may read the signing key: {', '.join(key.open_files)}"
        fix = f"chmod go= {' '.join(key.open_files)}; if another user had access, make a new key"
        yield Finding("key", Level.ERROR, message, fix)
    if key.error:
        message = f"the signing key cannot be read: {key.error}"
        yield Finding("key", Level.ERROR, message, f"gpg --homedir {key.home} -K")
    elif key.expires and key.expires < facts.now + EXPIRES_SOON:
        days = (key.expires - facts.now) / 86400
        message = "the signing key has expired" if days <= 0 else f"the signing key expires in {days:.0f} days"
        level = Level.ERROR if days <= 0 else Level.WARNING
        yield Finding("key", level, message, _extend(key))
    elif not (key.open_files or key.foreign):
        yield ok("key", f"signing key in {key.home}")


def _extend(key: KeyFacts) -> str:
    """Returns the command that extends the key by five years."""
    listed = f"gpg --homedir {key.home} --list-keys --with-colons"
    return f"gpg --homedir {key.home} --quick-set-expire $({listed} | awk -F: '/^fpr/ {{print $10; exit}}') 5y"
