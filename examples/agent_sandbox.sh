#!/bin/sh
# An agent's sandbox: it works in a fork of the project, and you look before you merge.
set -eu
mkdir -p project && echo 'total = 1 + 1' >project/sum.py
volfs create project
volfs put project project/sum.py sum.py

# The agent sees the project at /project, and changes a fork of it, which has a name of its own.
volfs run --volume project:/project --fork -- sh -c '
    echo "total = 1 + 2" >/project/sum.py
    echo "notes of the agent" >/project/NOTES
' 2>said
fork=$(sed -n 's/^Changes of project go to its fork \(.*\)\.$/\1/p' said)

volfs diff "$fork" 1
volfs ls project            # nothing has changed here
volfs merge "$fork"
volfs get project sum.py -
volfs delete -y "$fork"
