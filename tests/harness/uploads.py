"""Uploads that end as with their process: nothing is given back."""

from __future__ import annotations

from volfs.store.contract.objects import Upload
from volfs.store.embedded.data.file_sink import FileSink
from volfs.store.packs.upload import PackUpload


def die_with(upload: Upload) -> None:
    """Let the kernel take the upload's packs away from it, as when its process dies."""
    assert isinstance(upload, PackUpload)
    assert isinstance(upload._sink, FileSink)
    for writer in upload._sink.list_writers():
        writer._file.close()
