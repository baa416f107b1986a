"""Uploads that end as with their process: nothing is given back."""

from __future__ import annotations

from volfs.store.contract.objects import Upload
from volfs.store.embedded.data.upload import PackUpload


def die_with(upload: Upload) -> None:
    """Let the kernel take the upload's packs away from it, as when its process dies."""
    assert isinstance(upload, PackUpload)
    for writer in (*upload._full, *upload._writers.values()):
        writer._held.close()
