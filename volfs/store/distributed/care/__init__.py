"""Care of a store in a bucket.

Imports go downward::

    bucket_care     the contract
"""
