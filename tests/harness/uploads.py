"""Uploads that end as with their process: nothing is given back."""

from __future__ import annotations

import os

from volfs.store.base import Upload
from volfs.store.embedded.upload import PackUpload


def die_with(upload: Upload) -> None:
    """Let the kernel take the upload's packs away from it, as when its process dies."""
    assert isinstance(upload, PackUpload)
    for writer in (*upload._full, *upload._writers.values()):
        descriptor, writer._fd = writer._fd, -1
        os.close(descriptor)
