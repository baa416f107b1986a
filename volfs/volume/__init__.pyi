from volfs.api.batch_upload import BatchUpload as AbstractVolumeUploadContextManager
from volfs.api.volume import Volume as Volume
from volfs.api.volume import VolumeCreateOptions as VolumeCreateOptions
from volfs.api.volume import VolumeInfo as VolumeInfo
from volfs.api.volume import VolumeObjects as VolumeManager
from volfs.volume.listing import FileEntry as FileEntry
from volfs.volume.listing import FileEntryType as FileEntryType

__all__ = [
    "AbstractVolumeUploadContextManager",
    "FileEntry",
    "FileEntryType",
    "Volume",
    "VolumeCreateOptions",
    "VolumeInfo",
    "VolumeManager",
]
