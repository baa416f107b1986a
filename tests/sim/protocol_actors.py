"""The actors of the model: committers, mounts, forks, expiry, gc (see ``protocol_model.py``).

Each function gives a step function and a start. The step function has the world and the place at
which its actor is, and gives every world and place that one request may lead to.
"""

from typing import NamedTuple

from tests.sim.protocol_model import (
    RULES,
    Entry,
    append,
    condemned,
    condemned_in,
    in_force,
    lease_append,
    logs_get,
    logs_set,
    outstanding,
    replay,
)


# ---- a committer without a lease: finds an object in a pack by its index, or uploads its own ----
def committer(name, vol, ver, hit="P", fly=False):
    own = "Q" + name

    def step(w, loc):
        pc = loc[0]
        if pc == "done":
            return []
        if pc == 0:
            log = logs_get(w, vol)
            if log is None:
                return [(w, ("done",))]
            s = replay(log)
            if s.deleted:
                return [(w, ("done",))]
            relied = loc[1] if len(loc) > 1 else None
            e0 = loc[2] if len(loc) > 2 else None
            if relied is None:
                r = hit if hit in s.opened else own
                return [(w, (2 if r == hit else 1, s.k, s.era, r))]
            ok = relied in s.opened if relied == hit else True
            if relied != hit and RULES["own_packs"] and s.era != e0:
                return [(w, ("own", s.k, s.era, relied))]
            if not RULES["fence"]:
                ok = True
            return [(w, (2 if ok else 1, s.k, s.era, relied if ok else own))]
        if pc == "own":  # the era moved: has gc condemned what I uploaded?
            _, k, ep, r = loc
            if r in condemned(w, ep):
                return [(w, (1, k, ep, r + "'"))]
            return [(w, (2, k, ep, r))]
        if pc == 1:
            _, k, ep, r = loc
            return [(w._replace(packs=w.packs | {r}), (2, k, ep, r))]
        if pc == 2:
            _, k, ep, r = loc
            if not RULES["bound"]:  # mutation: some other call has read the log meanwhile
                now = replay(logs_get(w, vol))
                if now.deleted:
                    return [(w, ("done",))]
                k, ep = now.k, now.era
            e = Entry("pub", ep, ver, frozenset({r}))
            n = append(w, vol, k, e)
            out = [(w, (0, r, ep))] if n is None else [(n, ("done",))]
            if fly and n is not None:  # no answer ever; it may land at any later moment
                out.append((w._replace(flying=w.flying | {(vol, k, e)}), ("done",)))
            return out
        return None

    return step, (0,)


def waiting_committer(name, vol, ver, hit):
    step, start = committer(name, vol, ver, hit)

    def step2(w, loc):
        if loc == ("wait",):
            return [(w, ("done",))] + ([(w, start)] if logs_get(w, vol) is not None else [])
        return step(w, loc)

    return step2, ("wait",)


def landing():
    def step(w, loc):
        out = []
        for item in w.flying:
            vol, k, e = item
            n = append(w, vol, k, e)
            out.append(((n or w)._replace(flying=w.flying - {item}), loc))
        return out

    return step, ("env",)


def expirer(ver, vol="V", wait=False):
    def step(w, loc):
        if loc[0] == "done":
            return []
        if wait and loc[0] == 0 and ver not in replay(logs_get(w, vol)).versions:
            return []
        if loc[0] == 0:
            return [(w, (1, any(in_force(w, s) for s, _ in w.leases)))]
        if loc[0] == 1:
            s = replay(logs_get(w, vol))
            if loc[1] or ver not in s.versions:
                return [(w, ("done",))]
            return [(w, (2, s.k, s.era))]
        n = append(w, vol, loc[1], Entry("exp", loc[2], ver, None))
        return [(n, ("done",))] if n else [(w, (0,))]

    return step, (0,)


# ---- a commit in Y that relies on V's pack R, known to the machine ------------------------------
def foreign(vol="Y", other="V", hit="R", ver=1):
    def step(w, loc):
        pc = loc[0]
        if pc == "done":
            return []
        if pc == 0 and not RULES["foreign_after"]:  # mutation: looks at V before Y is there
            o = replay(logs_get(w, other))
            return [(w, (1, o.era, hit in o.opened))]
        if pc in (0, 1):
            if logs_get(w, vol) is None:  # create_volume: nothing is relied on
                return [
                    (logs_set(w, vol, (Entry("new", 0, ((0, frozenset()),), frozenset()),)), loc)
                ]
            if pc == 1:
                return [(w, (2, loc[1], loc[2]))]
            o = replay(logs_get(w, other))
            return [(w, (2, o.era, hit in o.opened))]
        if pc == 2:
            y = replay(logs_get(w, vol))
            if not loc[2]:
                return [(w, ("done",))]  # would upload: nothing relied on
            if loc[1] < y.era:
                return [(w, (0,))]  # V's state must be of Y's era or later
            return [(w, (3, y.k, y.era))]
        n = append(w, vol, loc[1], Entry("pub", loc[2], ver, frozenset({hit})))
        return [(n, ("done",))] if n else [(w, (0,))]

    return step, (0,)


def undeleter():
    def step(w, loc):
        if loc[0] == "done":
            return []
        if loc[0] == 0:
            if w.gclog and w.gclog[-1][0] == "condemn":
                return [(w, (1, len(w.gclog), outstanding(w.gclog)))]
            return [(w, ("done",))]
        if loc[0] == 1:
            if len(w.gclog) != loc[1]:
                return [(w, ("done",))]
            return [
                (w._replace(gclog=(*w.gclog, ("return", loc[2]))), (2, loc[2], len(w.gclog) + 1))
            ]
        s = replay(logs_get(w, "V"))
        if loc[0] == 2:
            back = loc[1] - condemned_in(w, loc[2], s.era) if RULES["adopt_checked"] else loc[1]
            return [(w, (3, loc[1], loc[2], s.k, s.era, back))]
        n = append(w, "V", loc[3], Entry("adopt", loc[4], None, loc[5] & s.seen))
        return [(n, ("done",))] if n else [(w, (2, loc[1], loc[2]))]

    return step, (0,)


# ---- a mount of version 1: lease, verify, (maybe) commit on its base, end ------------------------
def mounter(sid="S", base=1, ver=7, commits=True, vol="V", wait=False):
    def step(w, loc):
        pc = loc[0]
        if pc == "done":
            return []
        log = logs_get(w, vol)
        s = replay(log)
        if pc == 0:
            if base in s.versions:
                return [(w, (1,))]
            return [] if wait else [(w, ("done",))]
        if pc == 1:
            return [
                (
                    lease_append(
                        w, sid, 0, ("lease", base, s.versions.get(base, frozenset({"P"})))
                    ),
                    (2,),
                )
            ]
        if pc == 2:
            if not RULES["verify_lease"] or base in s.versions:
                return [(w, ("mounted", s.era))]
            return [(lease_append(w, sid, 1, ("end",)) or w, ("done",))]
        if pc == "mounted":
            out = [(lease_append(w, sid, 1, ("end",)) or w, ("done",))]
            if commits:
                out.append((w, ("c", loc[1])))
            return out
        if pc == "c":  # read the log before publishing
            if s.deleted:
                return [(w, ("end",))]
            if s.era > loc[1] and RULES["reverify"] and base not in s.versions:
                return [(w, ("v", s.k, s.era))]
            return [(w, ("p", s.k, s.era, loc[1]))]
        if pc == "v":  # the era moved: is my lease still in force?
            if in_force(w, sid):
                return [(w, ("p", loc[1], loc[2], loc[2]))]
            return [(w, ("done",))]  # revoked: the overlay stays, the commit fails
        if pc == "p":
            n = append(w, vol, loc[1], Entry("pub", loc[2], ver, frozenset({"P"})))
            return [(n, ("end",))] if n else [(w, ("c", loc[3]))]
        if pc == "end":
            return [(lease_append(w, sid, 1, ("end",)) or w, ("done",))]
        return None

    return step, (0,)


def forker(src="V", new="X", base=1):
    def step(w, loc):
        pc = loc[0]
        if pc == "done":
            return []
        s = replay(logs_get(w, src))
        if pc == 0:
            if base not in s.versions:
                return [(w, ("done",))]
            if not RULES["fork_entry"]:
                return [(w, (2, s.era, s.versions[base], s.opened))]
            return [(w, (1, s.k, s.era, s.versions[base], s.opened))]
        if pc == 1:
            n = append(w, src, loc[1], Entry("fork", loc[2], new, loc[3]))
            return [(n, (2, loc[2], loc[3], loc[4]))] if n else [(w, (0,))]
        if pc == 2:
            n = append(w, new, 0, Entry("new", loc[1], ((1, loc[2]),), loc[3]))
            return [(n or w, ("done",))]
        return None

    return step, (0,)


# ---- gc ------------------------------------------------------------------------------------------
def roots_done(found):  # found: dict vol -> (entries at a, entries at c)
    need, forks = set(), {}
    for _v, (a, c) in found.items():
        sa, sc = replay(a or ()), replay(c)
        for packs in sa.versions.values():
            need |= packs
        for packs in sc.versions.values():
            need |= packs
        for e in c[len(a or ()) :]:
            if e.kind == "pub":
                need |= e.b
            if e.kind == "new":
                for _, p in e.a:
                    need |= p
        forks.update(sa.forks)
        forks.update(sc.forks)
    for n, packs in forks.items():
        if n not in found:
            need |= packs
    return need


class Gc(NamedTuple):
    """What a gc does: whether it revokes leases, and whether each log and lease is a read of its
    own (without that there are fewer orders to visit)."""

    revoke: bool
    fine: bool


def gc(revoke=True, fine=True):
    """ROOTS = logs, leases, logs, each read by itself. condemn, fence, ROOTS, doom, delete."""
    how = Gc(revoke, fine)

    def step(w, loc):
        return [] if loc[0] == "done" else GC_STEPS[loc[0]](how, w, loc)

    return step, ("start",)


def gc_start(how, w, loc):
    out = [(w, ("a", "mark", len(w.gclog), None, None, None, ()))]
    left = outstanding(w.gclog)  # a run that died, or whose grace is over
    if left:
        out.append((w, ("fence", len(w.gclog), left, len(w.gclog))))
    return out


def gc_reads_logs(how, w, loc):
    """The first pass over the logs."""
    _, why, g, dead, ep, names, got = loc
    both = RULES["second_pass"]
    if names is None and not how.fine:
        return [(w, ("b", why, g, dead, ep, w.logs if both else (), None, frozenset()))]
    if names is None:
        return [(w, ("a", why, g, dead, ep, tuple(v for v, _ in w.logs), ()))]
    if names and both:
        more = (*got, (names[0], logs_get(w, names[0])))
        return [(w, ("a", why, g, dead, ep, names[1:], more))]
    return [(w, ("b", why, g, dead, ep, got, None, frozenset()))]


def gc_reads_leases(how, w, loc):
    _, why, g, dead, ep, a, names, need = loc
    if names is None:
        return [(w, ("b", why, g, dead, ep, a, tuple(s for s, _ in w.leases), need))]
    if not names:
        return [(w, ("c", why, g, dead, ep, a, need, None, ()))]
    x = dict(w.leases)[names[0]]
    is_lease = x[-1][0] == "lease"
    more = x[-1][2] if is_lease else frozenset()
    out = [(w, ("b", why, g, dead, ep, a, names[1:], need | more))]
    if how.revoke and is_lease:
        out.append((lease_append(w, names[0], len(x), ("revoked",)), loc))
    return out


def gc_reads_logs_again(how, w, loc):
    """The second pass over the logs, and what follows from all three."""
    _, why, g, dead, ep, a, lease_need, names, got = loc
    if names is None and not how.fine:
        names, got = (), w.logs
    if names is None:
        return [(w, ("c", why, g, dead, ep, a, lease_need, tuple(v for v, _ in w.logs), ()))]
    if names:
        more = (*got, (names[0], logs_get(w, names[0])))
        return [(w, ("c", why, g, dead, ep, a, lease_need, names[1:], more))]
    first = dict(a) if RULES["second_pass"] else dict(got)
    need = roots_done({v: (first.get(v), c) for v, c in got}) | lease_need
    if why == "mark":
        d = frozenset(p for p in w.packs if p not in need and p not in outstanding(w.gclog))
        return [(w, ("condemn", g, d) if d else ("done",))]
    return [(w, ("doom", g, frozenset(dead) - need, frozenset(dead) & need))]


def gc_condemns(how, w, loc):
    _, g, d = loc
    if len(w.gclog) != g:
        return [(w, ("done",))]
    return [(w._replace(gclog=(*w.gclog, ("condemn", d))), ("fence", g + 1, d, g + 1))]


def gc_looks_for_logs_to_fence(how, w, loc):
    _, g, d, ep = loc
    if not RULES["fence"]:
        return [(w, ("a", "doom", g, d, ep, None, ()))]
    for v, log in w.logs:
        s = replay(log)
        if not s.deleted and s.era < ep:
            return [(w, ("f1", g, d, ep, v, s.k, s.era))]
    # pending forks whose log does not exist: take the number
    for _, log in w.logs:
        for n in replay(log).forks:
            if logs_get(w, n) is None and RULES["cancel"]:
                return [(w, ("cancel", g, d, ep, n))]
    if RULES["roots_again"]:
        return [(w, ("a", "doom", g, d, ep, None, ()))]
    return [(w, ("doom", g, d, frozenset()))]


def gc_fences(how, w, loc):
    _, g, d, ep, v, k, old = loc
    since = old if RULES["close_all"] else ep - 1
    closes = outstanding(w.gclog[:ep], since, ep)
    n = append(w, v, k, Entry("fence", ep, None, closes))
    return [(n or w, ("fence", g, d, ep))]


def gc_cancels_a_fork(how, w, loc):
    _, g, d, ep, n = loc
    m = append(w, n, 0, Entry("del", ep, None, None))
    return [(m or w, ("fence", g, d, ep))]


def gc_dooms(how, w, loc):
    _, g, d, back = loc
    if not RULES["return_first"] and back:  # mutation: opens them again before gc's line
        return gc_looks_what_to_adopt(w, back, g, ("doom", g, d, frozenset()))
    if RULES["doom_cas"] and len(w.gclog) != g:
        return [(w, ("done",))]
    after = w._replace(gclog=(*w.gclog, ("doom", d, back)))
    return [(after, ("delete", d, back, len(w.gclog) + 1))]


def gc_deletes(how, w, loc):
    _, d, back, r = loc
    return [(w._replace(packs=w.packs - d), ("adopt", back, r) if back else ("done",))]


def gc_looks_what_to_adopt(w, back, r, then):
    s = replay(logs_get(w, "V"))
    back = back & s.seen - s.opened
    if RULES["adopt_checked"]:
        back -= condemned_in(w, r, s.era)
    if s.deleted or not back:
        return [(w, then)]
    return [(w, ("adopt2", s.k, s.era, back, r, then))]


def gc_begins_to_adopt(how, w, loc):
    return gc_looks_what_to_adopt(w, loc[1], loc[2], ("done",))


def gc_adopts(how, w, loc):
    _, k, era, back, r, then = loc
    n = append(w, "V", k, Entry("adopt", era, None, back))
    return [(n, then)] if n else gc_looks_what_to_adopt(w, back, r, then)


GC_STEPS = {
    "start": gc_start,
    "a": gc_reads_logs,
    "b": gc_reads_leases,
    "c": gc_reads_logs_again,
    "condemn": gc_condemns,
    "fence": gc_looks_for_logs_to_fence,
    "f1": gc_fences,
    "cancel": gc_cancels_a_fork,
    "doom": gc_dooms,
    "delete": gc_deletes,
    "adopt": gc_begins_to_adopt,
    "adopt2": gc_adopts,
}


def dying_gc():
    """A gc that dies right after it condemned what nothing needs."""

    def step(w, loc):
        if loc[0] == "done":
            return []
        need = frozenset().union(
            *[frozenset()] + [p for _, log in w.logs for p in replay(log).versions.values()]
        )
        d = w.packs - need - outstanding(w.gclog)
        return [(w._replace(gclog=(*w.gclog, ("condemn", d))) if d else w, ("done",))]

    return step, (0,)
