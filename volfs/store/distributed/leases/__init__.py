"""Leases in a bucket: each session has a log of its own, of which the newest line counts.

Imports go downward::

    bucket_leases       the contract
    bucket_holds        holds, and the leases of those that last
    revocation          what gc does with leases that nobody renews, and with logs that are over
    session_logs        the logs of leases, by session
    session_log         one of them
    lease_lines         a lease as a line has it, and what later commits add to it
"""
