"""Where objects and refs are kept: the contracts, and the engines that keep them.

``contract/`` and ``tables`` say what every engine promises; ``registry`` finds the engine of
an address. Imports go downward::

    registry                  which engine serves which address
    embedded/                 the engine in a directory of this machine
    packs/                    objects in packs: what no engine owns
    checked_lmdb/             LMDB, verified: the only room that imports lmdb
    contract/                 Objects, Refs, Leases, Care: what a store promises
    tables, address, clock …  another contract, and values, which know no engine

A second engine is a folder beside ``embedded``: it uses the rooms below, and neither
engine knows of the other.
"""
