"""Talking to a running mount: where its socket is, and which messages go over it.

This room knows nothing of what a daemon does. The daemon serves, and all others call.
"""
