"""Containers: commands in a mount namespace of their own that has volumes in it."""
