"""What moves: volumes and their versions, tags, leases and holds; and their names once more,
in the name log."""
