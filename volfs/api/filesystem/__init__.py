"""Volumes for fsspec: ``fsspec.open("volfs://data/train.csv")``."""

from volfs.api.filesystem.volume_filesystem import VolumeFileSystem

__all__ = ["VolumeFileSystem"]
