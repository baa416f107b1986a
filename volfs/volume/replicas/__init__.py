"""Replicas: copies of a volume in other stores, whose versions have the same manifests.

``new_objects`` finds what one version has and another lacks. ``replica`` is the receiving end, and
``sending`` brings versions there from another store. ``exported`` is the format of an exported
volume, which ``exporting`` writes and ``importing`` reads. docs/copies.md says what users are
promised.
"""
