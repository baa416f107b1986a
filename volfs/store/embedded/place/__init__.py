"""The directory of a store. Imports go downward::

layout                  what is in it; how a store is made, found, locked and upgraded
handle                  an open store, and the proof that it is the one that was opened
acknowledged            what this machine saw acknowledged of it
local_disk              whether it is on a disk of this machine alone
"""
