"""SQL over files of a volume with DuckDB."""

import duckdb
import fsspec

fs = fsspec.filesystem("volfs")
fs.makedirs("events", exist_ok=True)
fs.pipe({f"events/{day}.csv": f"kind,count\nclick,{day}\n".encode() for day in (1, 2, 3)})

database = duckdb.connect()
database.register_filesystem(fs)
total = database.sql("select sum(count) from read_csv('volfs://events/*.csv')").fetchall()
database.sql("copy (select 42 as answer) to 'volfs://events/answer.parquet' (format parquet)")
answer = database.sql("select answer from 'volfs://events/answer.parquet'").fetchall()
print(total, answer)
