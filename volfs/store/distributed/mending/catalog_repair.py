"""Names that the catalog lacks are taken from the logs of volumes."""

from __future__ import annotations

import msgspec

from volfs.errors import AlreadyExistsError
from volfs.model.logs.volume_facts import VolumeFacts
from volfs.store.distributed.mending.catalog_check import is_beginning, is_named
from volfs.store.distributed.mending.log_survey import StoreSurvey
from volfs.store.distributed.refs.volume_names import VolumeNames

ID_SHOWN = 8


def mend_names(survey: StoreSurvey, names: VolumeNames) -> int:
    """Name each living volume that the catalog does not have. How many. StoreError."""
    known = names.list_ids()
    count = 0
    for volume, state in survey.iter_living():
        facts = state.facts
        if facts is None or volume in known or not is_named(state):
            continue
        if not is_beginning(survey, volume):
            _give(names, facts)
            count += 1
    return count


def _give(names: VolumeNames, facts: VolumeFacts) -> None:
    try:
        names.give(facts)
    except AlreadyExistsError:
        fallback = f"recovered-{facts.id.partition('-')[2][:ID_SHOWN]}"
        names.give(msgspec.structs.replace(facts, name=fallback))
