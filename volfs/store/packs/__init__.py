"""Objects in packs, as far as no engine owns it: how records are read, and what is in them.

``source`` has the protocols by which packs and places are reached; an engine implements
them. ``codec`` and ``rows`` are bytes alone. Of engines nothing here knows anything.
"""
