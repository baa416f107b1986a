"""The data path. Imports go downward::

packs                   the parts of the data path, wired together
file_sink               the packs that one upload or copy writes: PackSink
pack_writer             who may write to a pack, and how much of it is durable
index, quarantine       the index with publishing, and the packs that gc has put aside
pack_files              reading pack files: PackSource
"""
