"""Reading objects through memory and a disk cache that all daemons of a user share."""
