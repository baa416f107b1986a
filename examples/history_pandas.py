"""A data set with history in pandas: what changed since the report, and the way back."""

import pandas as pd

import volfs

volume = volfs.Volume.from_name("sales", create_if_missing=True)
volume.hydrate()
PATH = "volfs://sales/days.parquet"

pd.DataFrame({"day": ["mon", "tue"], "sold": [10, 12]}).to_parquet(PATH)
pd.DataFrame({"day": ["mon", "tue", "wed"], "sold": [10, 21, 9]}).to_parquet(PATH)

now = pd.read_parquet(PATH).set_index("day")
report = pd.read_parquet(f"{PATH}?at=head~1").set_index("day")
both = report.join(now, lsuffix="_then", rsuffix="_now")
print(both[both.sold_then != both.sold_now])
print("new:", *now.index.difference(report.index))
