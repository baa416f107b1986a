"""What gc did, or would do, in the words of the contract."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from volfs.model.logs.gc_log import GcState
from volfs.store.contract.care import GcOptions, GcReport
from volfs.store.distributed.care.gc_survey import Survey
from volfs.store.distributed.care.pack_marks import PackMarks


def tell(survey: Survey, before: GcState, after: GcState) -> GcReport:
    """What was done between two states of the log of gc."""
    deleted = survey.left | (set(after.dooms) - set(before.dooms))
    return _report(survey, deleted, set(after.condemned))


def foretell(
    gc: GcState,
    survey: Survey,
    due: Collection[str],
    marks: Mapping[str, PackMarks],
    options: GcOptions,
) -> GcReport:
    """What would be done. ``due`` are the condemned packs whose grace is over."""
    new = set(survey.list_condemned())
    deleted = survey.left | {name for name in due if name not in marks or not marks[name].live}
    waiting = set(gc.condemned) - set(due)
    if options.grace_ns <= 0:
        deleted |= new
    else:
        waiting |= new
    return _report(survey, deleted, waiting)


def _report(survey: Survey, deleted: Collection[str], waiting: Collection[str]) -> GcReport:
    plan = survey.plan
    return GcReport(
        live_objects=survey.live_objects,
        live_bytes=survey.live_bytes,
        dropped_packs=len(plan.drop) + len(survey.orphans),
        rewritten_packs=len(plan.rewrite),
        rewritten_bytes=sum(use.live_bytes for use in plan.rewrite),
        quarantined_bytes=_sum(survey, survey.list_condemned()),
        busy_packs=survey.young,
        deleted_packs=len(deleted),
        deleted_bytes=_sum(survey, deleted),
        waiting_packs=len(waiting),
        waiting_bytes=_sum(survey, waiting),
    )


def _sum(survey: Survey, names: Iterable[str]) -> int:
    return sum(survey.sizes.get(name, 0) for name in names)
