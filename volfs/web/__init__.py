"""The web page of a store: what its volumes and mounts are, and what they were.

``gate`` decides who may ask, ``shown_pages`` and ``changing_pages`` answer, ``shown_store`` and
``previews`` find out what is shown. Nothing in a volume is ever trusted: its names and contents are
text on a page, or a download.
"""
