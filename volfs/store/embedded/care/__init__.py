"""The care of a store: gc and the end of quarantine, check, repair, rebuilding of the index."""
