"""The logs of a store in a bucket: the bytes of a line, and what the lines of each log mean.

Pure values and rules. A log's state is a function of its lines, and nothing else.
"""
