"""The daemon: one process for each mount, with its session directory, control server and
auto-commit."""
