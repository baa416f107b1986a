"""What lies beside a log, so that nobody has to read the log from its first line.

Imports go downward::

    plain_logs          the catalog, the log of gc and the tables, which have checkpoints alone
    volume_checkpoints  the checkpoints of a volume, and the pieces of its table of packs
    volume_history      the history segments of a volume
    log_checkpoints     the checkpoints of any log
    due_checkpoints     when they are due, and the threads that write them
    log_forms           the states of plain logs in checkpoints
    machine_memory      what this machine remembers of logs
    beginnings          the checkpoint with which the reading of a log begins
    framed_objects      the objects that are kept beside logs

Nothing here is the truth. What is damaged, gone, or another volume's is passed over, and the lines
of the log are read.
"""
