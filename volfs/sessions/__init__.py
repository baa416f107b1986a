"""Facts, lock, host and liveness of a mount's session, as anybody may read them."""
