from volfs.api.apps.observed import VolumeCreateOptions as VolumeCreateOptions
from volfs.api.volume import Volume as Volume
from volfs.api.volume import VolumeInfo as VolumeInfo
from volfs.volume.listing import FileEntry as FileEntry
from volfs.volume.listing import FileEntryType as FileEntryType
