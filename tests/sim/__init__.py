"""A simulated bucket, and clients of whose threads exactly one runs at any moment.

Each request to the bucket is a point at which a scheduler decides who goes on and what becomes
of the request. The scheduler is seeded, so a seed is a schedule.
"""
