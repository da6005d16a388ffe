"""Whether the signing key can be read, by us alone, and for how long it is good."""

from __future__ import annotations

from collections.abc import Iterator

from .facts import Facts, KeyFacts
from .finding import Finding, Level, ok

LONG_LIVED = 30 * 86400.0


def signing_key(facts: Facts) -> Iterator[Finding]:
    key = facts.key
    if key is None:
        return
    if key.foreign:
        mend = f"chown -R {facts.user} {key.home}"
        yield Finding("key", Level.ERROR, f"{key.home} does not belong to user {facts.user}", mend)
    if key.open_files:
        names = " ".join(key.open_files)
        message = f"others may read the signing key: {', '.join(key.open_files)}"
        yield Finding("key", Level.ERROR, message, f"chmod go= {names}; if others had access, make a new key")
    if key.trouble:
        yield Finding(
            "key", Level.ERROR, f"the signing key cannot be read: {key.trouble}", f"gpg --homedir {key.home} -K"
        )
    elif key.expires and key.expires < facts.now + LONG_LIVED:
        days = (key.expires - facts.now) / 86400
        message = "the signing key has expired" if days <= 0 else f"the signing key expires in {days:.0f} days"
        level = Level.ERROR if days <= 0 else Level.WARNING
        yield Finding("key", level, message, _extend(key))
    elif not (key.open_files or key.foreign):
        yield ok("key", f"signing key in {key.home}")


def _extend(key: KeyFacts) -> str:
    listed = f"gpg --homedir {key.home} --list-keys --with-colons"
    return f"gpg --homedir {key.home} --quick-set-expire $({listed} | awk -F: '/^fpr/ {{print $10; exit}}') 5y"
