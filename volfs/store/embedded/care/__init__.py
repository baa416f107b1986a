"""The care of a store. Each piece takes ``Packs``, ``Refs`` or both. Imports go downward::

collector, purge        gc, and the end of quarantine
repair, ref_repair      the index made to say what the packs have, and refs what manifests say
rebuild                 a new index from packs
damage, name_check      what is wrong with a store, and with its name log
caretaker               one gc or repair at a time, and packs that nobody writes to meanwhile
"""
