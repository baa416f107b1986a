"""The data path. Imports go downward::

packs                   the data path of an open store, wired together
file_sink               the packs that one upload writes: PackSink
pack_writer             who may write to a pack, and what of it is durable
index, quarantine       the index: how versions are published, and what gc has put aside
pack_files              pack files, read: PackSource
"""
