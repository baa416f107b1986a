"""Leases in a bucket: each session has a log of its own, of which the newest line counts.

Imports go downward::

    bucket_leases       the contract
    session_logs        the logs of leases, by session
    lease_lines         a lease as a line has it, and what later commits add to it
"""
