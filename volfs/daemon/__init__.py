"""One process is one mount: wiring, its session directory, control server, auto-commit."""
