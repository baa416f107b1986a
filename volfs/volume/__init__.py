"""Volumes without a mount: reading and writing content, commits, history. Blocking."""
