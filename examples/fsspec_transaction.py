"""A data set is replaced as a whole: readers see the old files or the new ones, never both."""

import fsspec
import pyarrow as pa
import pyarrow.dataset as ds

fs = fsspec.filesystem("volfs")
fs.makedirs("data", exist_ok=True)


def replace_data_set(rows: int) -> None:
    """Write the data set anew. If anything fails, the old one stays."""
    table = pa.table({"part": [i % 4 for i in range(rows)], "value": list(range(rows))})
    with fs.transaction:
        if fs.exists("data/set"):
            fs.rm("data/set", recursive=True)
        ds.write_dataset(
            table,
            "data/set",
            filesystem=fs,
            format="parquet",
            partitioning=["part"],
            existing_data_behavior="overwrite_or_ignore",
        )


replace_data_set(1000)
replace_data_set(2000)
data = ds.dataset("data/set", filesystem=fs, format="parquet", partitioning=["part"])
print(data.count_rows(), "rows in", len(data.files), "files")
