"""Signing with a key that this machine keeps."""
