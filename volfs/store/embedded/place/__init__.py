"""The directory of a store. Imports go downward::

layout                  its files; how a store is made, found, locked and upgraded
handle                  an open store, and the proof that it is the one that was opened
acknowledged            what this machine saw acknowledged of the store
local_disk              whether a path is on a disk of this machine alone
"""
