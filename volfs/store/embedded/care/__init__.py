"""The care of a store: work on its ``Packs``, its ``RefRows``, or both. Imports go downward::

collector, purge        gc, and the end of quarantine
repair, ref_repair      the index mended from the packs, and refs mended from manifests
rebuild                 a new index from packs
damage, name_check      what is wrong with a store, and with its name log
caretaker               one gc or repair at a time, and packs that nobody writes to meanwhile
"""
