"""S3, "Modal Volumes: Persistent Storage Patterns"."""
