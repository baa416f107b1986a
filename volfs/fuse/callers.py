"""The callers of requests, as far as the kernel or /proc know them."""

from __future__ import annotations

import functools

from pyfuse3 import RequestContext

from volfs.system.credentials import NOBODY, find_credentials
from volfs.vfs.caller import CAP_FSETID, Caller


def find_caller(ctx: RequestContext) -> Caller:
    """The caller that waits for our answer. Valid only as long as it waits.

    It is looked up in /proc, because most requests do not name a user once idmapped mounts are
    allowed. A caller that is not found there has capabilities only if the request named root.
    """
    find = functools.cache(lambda: find_credentials(ctx.pid))

    def is_capable(capability: int) -> bool:
        found = find()
        return ctx.uid == 0 if found is NOBODY else found.has(capability)

    def in_group(gid: int) -> bool:
        return gid == ctx.gid or gid in find().groups or is_capable(CAP_FSETID)

    return Caller(is_capable, in_group, lambda uid: uid in (ctx.uid, find().user))


def note_caller(ctx: RequestContext) -> Caller:
    """The caller for later, when it cannot be looked up in /proc: known by what the request
    named."""

    def in_group(gid: int) -> bool:
        return ctx.uid == 0 or gid == ctx.gid or gid in find_credentials(ctx.pid).groups

    return Caller(lambda capability: ctx.uid == 0, in_group)
