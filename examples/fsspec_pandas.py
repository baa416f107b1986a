"""A table with history in pandas, without a mount."""

import fsspec
import pandas as pd

fs = fsspec.filesystem("volfs")
fs.makedirs("sales", exist_ok=True)

pd.DataFrame({"day": [1, 2], "sold": [10, 12]}).to_parquet("volfs://sales/days.parquet")
first = fs.info("sales/days.parquet")["size"]
pd.DataFrame({"day": [1, 2, 3], "sold": [10, 12, 9]}).to_parquet("volfs://sales/days.parquet")

now = pd.read_parquet("volfs://sales/days.parquet")
before = pd.read_parquet("volfs://sales/days.parquet?at=head~1")
print(f"{len(now)} days now, {len(before)} before")
