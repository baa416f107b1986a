"""An exhaustive model of the protocol of logs, leases, forks and gc.

One step is one request to the bucket. ``explore`` visits every interleaving of the steps of some
actors, and remembers the states that it has met. No clock occurs: any actor may stall for ever, and
gc may revoke a lease at any moment. The model knows two packs of one volume: P, which version 1
needs, and R, which nothing needs any more.

``RULES`` are the rules on which the protocol depends. If one of them is taken away, some scenario
loses data; ``test_protocol_model.py`` shows it for each. Names are short here, because the steps
are read side by side: w is the world, loc where an actor is, s the state of a log, k a number.
"""

from collections import namedtuple

World = namedtuple("World", "logs leases packs gclog flying")
"""Everything in the bucket, and the writes that are still on their way. Hashable."""
Entry = namedtuple("Entry", "kind era a b")
"""A line of a volume's log."""
RULES = {
    "fence": True,
    "second_pass": True,
    "reverify": True,
    "fork_entry": True,
    "cancel": True,
    "own_packs": True,
    "verify_lease": True,
    "roots_again": True,
    "doom_cas": True,
    "foreign_after": True,
    "bound": True,
    "close_all": True,
    "return_first": True,
    "adopt_checked": True,
}


def logs_get(w, v):
    return dict(w.logs).get(v)


def logs_set(w, v, entries):
    d = dict(w.logs)
    d[v] = entries
    return w._replace(logs=tuple(sorted(d.items())))


def append(w, v, k, e):
    """create-only PUT of number k; None if it is there."""
    cur = logs_get(w, v)
    if cur is None:
        return logs_set(w, v, (e,)) if k == 0 else None
    if k < len(cur):
        return None
    assert k == len(cur)
    return logs_set(w, v, (*cur, e))


State = namedtuple("State", "k era versions opened seen forks deleted")


def replay(entries):
    versions, opened, seen, forks, era, deleted = {}, set(), set(), {}, 0, False
    for e in entries:
        era = max(era, e.era)
        if e.kind == "new":
            versions.update(dict(e.a))
            opened |= e.b
            seen |= e.b
        elif e.kind == "pub":
            versions[e.a] = e.b
            opened |= e.b - seen
            seen |= e.b
        elif e.kind == "exp":
            versions.pop(e.a, None)
        elif e.kind == "fence":
            opened -= e.b
        elif e.kind == "adopt":
            opened |= e.b
        elif e.kind == "fork":
            forks[e.a] = e.b
        elif e.kind == "del":
            deleted = True
            versions = {}
    return State(len(entries), era, versions, frozenset(opened), frozenset(seen), forks, deleted)


def in_force(w, s):
    loc = dict(w.leases).get(s, ())
    return bool(loc) and loc[-1][0] == "lease"


def lease_append(w, s, n, x):
    d = dict(w.leases)
    cur = d.get(s, ())
    if n < len(cur):
        return None
    d[s] = (*cur, x)
    return w._replace(leases=tuple(sorted(d.items())))


def outstanding(gclog, after=0, upto=10**9):
    """Packs condemned in the eras (after, upto], and neither returned nor doomed since."""
    out = set()
    for i, g in enumerate(gclog):
        era = i + 1
        if g[0] == "condemn" and after < era <= upto:
            out |= g[1]
        elif g[0] == "condemn":
            out -= g[1] if era > upto else set()
        elif g[0] == "return":
            out -= g[1]
        elif g[0] == "doom":
            out -= g[1]
            out -= g[2]
    return frozenset(out)


def condemned(w, upto):
    out = set()
    for i, g in enumerate(w.gclog):
        if i + 1 > upto:
            break
        if g[0] == "condemn":
            out |= g[1]
        elif g[0] == "return":
            out -= g[1]
        elif g[0] == "doom":
            out -= g[2]
    return frozenset(out)


def condemned_in(w, after, upto):
    out = frozenset()
    for i, g in enumerate(w.gclog):
        if g[0] == "condemn" and after < i + 1 <= upto:
            out |= g[1]
    return out


def check(w, locs, procs):
    for v, log in w.logs:
        s = replay(log)
        for ver, packs in s.versions.items():
            if not packs <= w.packs:
                return f"{v}: version {ver} needs {set(packs)}, stored {set(w.packs)}"
    for (name, _), loc in zip(procs, locs, strict=False):
        if (
            name == "mount"
            and loc[0] in ("mounted", "c", "p", "v")
            and in_force(w, "S")
            and not dict(w.leases)["S"][-1][2] <= w.packs
        ):
            return "a mount whose lease is in force lost its pack"
    return None


def explore(procs, limit=3_000_000):
    # R was of a version that has expired long ago: dead, but open to whoever finds it
    v = (
        Entry("new", 0, (), frozenset({"R"})),
        Entry("pub", 0, 1, frozenset({"P"})),
        Entry("pub", 0, 2, frozenset()),
    )
    w0 = World((("V", v),), (), frozenset({"P", "R"}), (), frozenset())
    steps = [p[1][0] for p in procs]
    start = (w0, tuple(p[1][1] for p in procs))
    seen, stack = {start: None}, [start]
    while stack:
        cur = stack.pop()
        w, locs = cur
        bad = check(w, locs, procs)
        if bad:
            return len(seen), bad, trace(seen, cur, procs)
        for i, st in enumerate(steps):
            for w2, l2 in st(w, locs[i]):
                nxt = (w2, (*locs[:i], l2, *locs[i + 1 :]))
                if nxt not in seen:
                    seen[nxt] = (cur, i)
                    stack.append(nxt)
        if len(seen) > limit:
            return len(seen), "LIMIT", []
    return len(seen), None, []


def trace(seen, cur, procs):
    out = []
    while seen[cur] is not None:
        prev, i = seen[cur]
        out.append(f"{procs[i][0]}:{prev[1][i][0]}")
        cur = prev
    return out[::-1]
