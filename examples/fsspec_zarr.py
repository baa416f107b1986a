"""An array in chunks with Zarr. Each store is a directory of a volume."""

import fsspec
import numpy as np
import zarr

fs = fsspec.filesystem("volfs")
fs.makedirs("arrays", exist_ok=True)

array = zarr.open_array(
    "volfs://arrays/image.zarr", mode="w", shape=(400, 400), chunks=(100, 100), dtype="i4"
)
array[:] = np.arange(160_000).reshape(400, 400)
array[0, 0] = -1

read = zarr.open_array("volfs://arrays/image.zarr", mode="r")
print(int(read[0, 0]), int(read[399, 399]))
