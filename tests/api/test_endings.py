"""How a program ends that leaves everything open: without a word, and with nothing lost."""

from __future__ import annotations

import subprocess
import sys

from tests.api.conftest import ROOT

PROGRAM = """
import json, sys
import volfs as modal

volume = modal.Volume.from_name("v", create_if_missing=True)
with volume.batch_upload(force=True) as batch:
    for number in range(3):
        batch.put_file(__import__("io").BytesIO(bytes(5000) + b"x"), f"{number}.bin")
blocks = volume.read_file("0.bin")
next(blocks)
entries = volume.iterdir("/")
next(entries)
d = modal.Dict.from_name("d", create_if_missing=True)
d["k"] = bytes(100_000)
values = d.values()
next(values)
q = modal.Queue.ephemeral().__enter__()
q.put(1)
from volfs.store.registry import open_store
from volfs.model.objects import Kind
store = open_store(volume.client.url)
upload = store.open_upload(volume.object_id).__enter__()
upload.put_object(Kind.CHUNK, bytes(range(256)) * 20)
reader = open_store(volume.client.url)
head = reader.refs.get_head(volume.object_id)
reader.objects_of(volume.object_id).load_object(head.manifest)
# Modules that something refers to are emptied, the ones imported last first: what the first
# one has goes when those that it would need have nothing left.
sys.kept = list(sys.modules.values())
json.kept = blocks, entries, values, q, store, upload, reader
"""


def test_without_a_word() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
