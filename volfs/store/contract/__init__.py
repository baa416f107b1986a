"""The contract of a store: what every engine promises, in four parts.

``Objects``
    Immutable objects by id, and uploads of new ones.
``Refs``
    Volumes, their versions and tags, and the one compare-and-swap that moves a head.
``Leases``
    What sessions and running operations rely on.
``Care``
    gc, check, repair and recovery.

A ``Store`` has one of each. A function takes the part that it needs, and a ``Store`` only
if it needs several. Everything here blocks and may be called from any thread.
``tests/store`` runs one contract suite over every engine.

Order of writing (docs/format.md): packs, index, manifest, ref. A ref never points at what
is not durable.
"""
