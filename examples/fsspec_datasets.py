"""A data set of Hugging Face's library, saved into a volume and loaded from it."""

import fsspec
from datasets import Dataset, load_dataset, load_from_disk

fs = fsspec.filesystem("volfs")
fs.makedirs("corpus", exist_ok=True)

Dataset.from_dict({"text": ["one", "two", "three"]}).save_to_disk("volfs://corpus/saved")
print(load_from_disk("volfs://corpus/saved")["text"][:])

fs.pipe("corpus/raw/train.jsonl", b'{"text": "four"}\n{"text": "five"}\n')
stream = load_dataset(
    "json", data_files="volfs://corpus/raw/*.jsonl", split="train", streaming=True
)
print([row["text"] for row in stream])
