"""The data path: pack files and who writes them, the index of objects, uploads, quarantine."""
