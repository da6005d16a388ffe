"""Signing with a key that is stored on this machine (`gnupg`)."""
