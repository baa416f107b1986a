"""A store in a directory: pack files and one LMDB environment. Format: docs/format.md."""
