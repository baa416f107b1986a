"""Starting a container from a function's options. The things that the options name are looked up
here."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

from volfs.api.apps.building import BuiltImage
from volfs.api.apps.function_options import Options
from volfs.api.apps.targets import serve
from volfs.api.client import default_environment, find_client
from volfs.api.cloud_bucket_mount import CloudBucketMount
from volfs.api.known_volumes import get_record
from volfs.api.mount_rules import (
    NETWORK_FILE_SYSTEM,
    VOLUME,
    Pairs,
    check_distinct,
    validate_mounts,
)
from volfs.api.resource import ResourceHandle
from volfs.api.secret import read_environment
from volfs.containers.container import AnyMount, BucketMount, ContainerSpec, VolumeMount
from volfs.containers.launching import share_launcher
from volfs.containers.messages import IMAGE, Start
from volfs.containers.worker_container import Running
from volfs.errors import InvalidError
from volfs.store.address import parse_address
from volfs.store.identity import make_id
from volfs.store.location import ENVIRONMENT_VARIABLES


def start_container(name: str, options: Options, service: bytes) -> Running:
    """Start a container. Raises what its mounts, secrets and image raise, and CallFailedError."""
    # The launcher comes first, because it loads its modules while we look things up.
    launcher = share_launcher() if options.has_mounts else None
    image = (options.image or BuiltImage()).build()
    volumes = _check(VOLUME, options.volumes)
    mounted = [*volumes, *_check(NETWORK_FILE_SYSTEM, options.network_file_systems)]
    store = _find_store(mounted)
    paths = [*image.import_paths, *_get_import_paths()]
    spec = ContainerSpec(
        mounts=tuple(_make_mount(path, what) for path, what in mounted),
        binds=image.binds,
        environment=_make_environment(options, image, store),
        workdir=image.workdir,
        auto_commit=options.auto_commit,
        share_tmp=options.share_tmp,
        visible=tuple(paths),
        message=f"{name}()",
    )
    start = Start(service, paths, options.lanes)
    return Running(name, spec, store, start, serve, launcher)


def _check(kind: str, mapping: object) -> Pairs:
    pairs = [
        (path, what.get_for_app() if isinstance(what, ResourceHandle) else what)
        for path, what in validate_mounts(kind, mapping)  # type: ignore[arg-type]
    ]
    for _, what in pairs:
        if isinstance(what, CloudBucketMount):
            what.check_mountable()  # wrong arguments are told before anything is looked up
    check_distinct(kind, [pair for pair in pairs if isinstance(pair[1], ResourceHandle)])
    return pairs


def _find_store(mounted: Pairs) -> str:
    """The store that all volumes are in."""
    handles = [what for _, what in mounted if isinstance(what, ResourceHandle)]
    stores = {_to_absolute(handle.client.url) for handle in handles}
    if len(stores) > 1:
        raise InvalidError(f"a container's volumes must be in one store, not in {sorted(stores)}")
    return stores.pop() if stores else _to_absolute(find_client().url)


def _to_absolute(url: str) -> str:
    return parse_address(url).text


def _make_mount(path: str, what: ResourceHandle | CloudBucketMount) -> AnyMount:
    if isinstance(what, CloudBucketMount):
        return BucketMount(what.make_plan(), path, what.read_only)
    return _make_volume_mount(path, what)


def _make_volume_mount(path: str, handle: ResourceHandle) -> VolumeMount:
    object_id = handle.object_id
    with handle.client.store() as store:
        record = get_record(store, object_id)
    mount = VolumeMount(record.name, path, environment=record.environment)
    if handle._kind.noun == NETWORK_FILE_SYSTEM:
        return replace(mount, network=True)
    choice = handle.mount_choice  # type: ignore[attr-defined]
    return replace(mount, read_only=choice.read_only, sub_path=choice.sub_path or "")


def _make_environment(options: Options, image: BuiltImage, store: str) -> dict[str, str]:
    """The variables of a container. Later ones win: those of the image, of the secrets, of the
    function."""
    environment = {
        "VOLFS_STORE": store,
        IMAGE: options.image.identity if options.image else "",
        **dict.fromkeys(ENVIRONMENT_VARIABLES, default_environment()),
        **_make_modals(),
        **image.environment,
        **read_environment(options.secrets),
        **options.env,
    }
    if image.programs:
        path = environment.get("PATH", os.environ.get("PATH", os.defpath))
        environment["PATH"] = os.pathsep.join((*image.programs, path))
    return environment


def _make_modals() -> dict[str, str]:
    """The variables that Modal's containers have. Places and processors are this machine's."""
    return {
        "MODAL_IS_REMOTE": "1",
        "MODAL_TASK_ID": make_id("ta"),
        "MODAL_CLOUD_PROVIDER": "local",
        "MODAL_REGION": "local",
    }


def _get_import_paths() -> list[str]:
    """The paths on which this program finds its modules."""
    return [str(Path(path).absolute()) for path in sys.path if Path(path).exists()]
