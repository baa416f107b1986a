"""Refs in a bucket: each change is one line of a volume's log, or of the catalog, or of both.

Imports go downward::

    publishing_refs                 the contract
    checkpoint_keeper               checkpoints, written beside everything else
    named_objects                   what a volume refers to, for gc
    open_volumes                    each volume's log, objects and publisher
    condemned_packs                 what gc has condemned
    bucket_refs                     the contract, without publishing
    volume_publisher                how an upload and a version become a line
    volume_names                    which volume has which name: the catalog
    volume_view                     a volume as the data path sees it
    volume_logs                     the logs of volumes, by id
    volume_watch                    what comes with the lines of a log
    line_records, facts_of_records  objects in lines; facts in lines
"""
