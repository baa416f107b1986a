"""The command line: ``volfs VERB``. Installed as the package ``volfs_cli``.

Modules import only click at the top; what a command needs of volfs and rich is
imported when it runs, so that help and completion answer at once.
"""
