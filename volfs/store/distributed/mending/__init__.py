"""The check and the repair of a store in a bucket: what is wrong, what can be mended, what is lost.

Imports go downward::

    index_rebuild, volume_recovery
                        what a machine knows of places, and volumes whose logs are gone
    bucket_repair       everything below, in its order
    log_repair          logs that cannot be read, made readable by a checkpoint
    pack_repair, segment_repair
                        damaged packs, copied record by record; damaged segments, dropped
    catalog_repair      names that the catalog lacks
    missing             what versions need and do not have
    check               everything that is wrong, or odd
    catalog_check       what is wrong with names
    log_survey          all logs, each with what is left of its state
    log_salvage, bridges
                        the state of a log some lines of which are gone
    checkpoint_forms    checkpoints: read, compared and made
    segment_check       what is wrong with an index segment
    stored_manifests, stored_records
                        what is stored anywhere, whether or not a log names it
    found_log           the lines of a log, whole and damaged ones
    pack_check          what is wrong with a pack
    repair_notes        what repairs have found lost, and what is no longer needed
    inventory           all objects of a store, by what they are

A repair only appends and creates. Nothing here overwrites or deletes an object.
"""
