"""Ordered tables beside the index, and the signals by which processes wake each other."""
