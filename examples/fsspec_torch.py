"""Training data and checkpoints of PyTorch in a volume, read by several workers."""

import io

import fsspec
import torch
from torch.utils.data import DataLoader, Dataset

fs = fsspec.filesystem("volfs")
fs.makedirs("train", exist_ok=True)


class Samples(Dataset):
    """One tensor in each file. Each worker opens the volume for itself."""

    def __init__(self, directory: str) -> None:
        self.paths = fs.find(directory)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        with fsspec.open(f"volfs://{self.paths[index]}") as file:
            return torch.load(file)


def save(tensor: torch.Tensor) -> bytes:
    buffer = io.BytesIO()
    torch.save(tensor, buffer)
    return buffer.getvalue()


if __name__ == "__main__":
    fs.pipe({f"train/samples/{n:03}.pt": save(torch.tensor([float(n)])) for n in range(32)})
    loader = DataLoader(Samples("train/samples"), batch_size=8, num_workers=2)
    total = sum(batch.sum().item() for batch in loader)
    with fsspec.open("volfs://train/checkpoint.pt", "wb") as file:
        torch.save({"total": total}, file)
    with fsspec.open("volfs://train/checkpoint.pt") as file:
        print(torch.load(file))
