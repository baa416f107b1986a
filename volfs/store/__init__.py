"""Where objects and refs are kept: the contracts, and the engines that fulfil them.

``contract/`` and ``tables`` say what every engine promises. ``registry`` finds the engine of an
address. Imports go downward::

    registry                  which engine serves which address
    embedded/                 the engine in a directory of this machine
    packs/                    objects in packs, without anything of one engine
    checked_lmdb/             LMDB, verified: the only room that imports lmdb
    contract/                 Objects, Refs, Leases, Care: what a store promises
    tables, address, clock …  the contract of tables, and values that know no engine

A second engine is a folder beside ``embedded``. It uses the rooms below, and neither engine knows
the other.
"""
