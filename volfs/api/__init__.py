"""The public Python API, in Modal's shape. Import it as ``volfs``: see docs/python-api.md."""
