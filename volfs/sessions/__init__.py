"""The facts, lock, host and liveness of mounts' sessions, which any process may read."""
