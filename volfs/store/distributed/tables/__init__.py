"""The small tables of a store in a bucket. Imports go downward::

bucket_tables   the tables of an open store
table_changes   one change, as it is being made
"""
