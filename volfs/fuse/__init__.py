"""The pyfuse3 adapter: the only room that knows FUSE, and the only errno table for it."""
