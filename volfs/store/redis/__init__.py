"""Tables on a Redis or Valkey server. The only room that imports redis.

Every change is one script, which the server runs alone and whole. The keys of a script share one
hash tag, so that a proxy or a cluster keeps them together. Imports go downward::

    binding                  whose tables a database keeps
    care                     settings of the server that may lose data
    shared_rows              the rows of resources, as ``store.tables.Tables``
    dict_scripts             what is done to the entries of a Dict
    queue_scripts            what is done to the partitions of a Queue
    bells                    waiting for another process
    table_server             connections, scripts, deadlines
    server_errors            errors of the server as errors of volfs
    address                  which server, which database, whose password
"""
