"""Talking to a running mount: where its socket is, and what is said over it.

Knows nothing of what a daemon does; the daemon serves, everybody else calls.
"""
