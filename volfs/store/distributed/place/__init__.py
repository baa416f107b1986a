"""Where things are in the bucket, and whether the bucket can be a store."""
