"""What mounts and stores of this machine do, in numbers: for Prometheus, and for a terminal.

Nothing here waits for a daemon or a disk longer than a few seconds.
"""
