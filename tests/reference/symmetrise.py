"""Symmetrised alignments, in the loops of the pseudocode of Koehn et al. 2005 (and of the Moses manual).

    GROW-DIAG-FINAL(e2f, f2e):
      neighboring = ((-1,0),(0,-1),(1,0),(0,1),(-1,-1),(-1,1),(1,-1),(1,1))
      alignment = intersect(e2f, f2e)
      GROW-DIAG(); FINAL(e2f); FINAL(f2e)

e is the word of the target, f that of the source; a link here is (source word, target word).
"""

NEIGHBOURING = ((-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))


def grow_diag(e2f, f2e, sources, targets):
    alignment = {link for link in e2f if link in f2e}

    def aligned_e(e):
        return any(target == e for _, target in alignment)

    def aligned_f(f):
        return any(source == f for source, _ in alignment)

    new_points = True
    while new_points:
        new_points = False
        for e in range(targets):
            for f in range(sources):
                if (f, e) not in alignment:
                    continue
                for de, df in NEIGHBOURING:
                    e_new, f_new = e + de, f + df
                    point = (f_new, e_new)
                    if point not in e2f and point not in f2e:
                        continue
                    if not aligned_e(e_new) or not aligned_f(f_new):
                        alignment.add(point)
                        new_points = True
    return alignment


def final(alignment, a, sources, targets, both):
    """FINAL(a): `both` is the condition of grow-diag-final-and."""
    for e_new in range(targets):
        for f_new in range(sources):
            if (f_new, e_new) not in a:
                continue
            e_bare = all(target != e_new for _, target in alignment)
            f_bare = all(source != f_new for source, _ in alignment)
            if (e_bare and f_bare) if both else (e_bare or f_bare):
                alignment.add((f_new, e_new))
    return alignment


def symmetrise(forward, reverse, sources, targets, method):
    """The set of links of two sets of links, over sentences of that many words."""
    if method == "intersection":
        return {link for link in forward if link in reverse}
    if method == "union":
        return {*forward, *reverse}
    alignment = grow_diag(forward, reverse, sources, targets)
    if method == "grow-diag":
        return alignment
    both = method == "grow-diag-final-and"
    for direction in (forward, reverse):
        alignment = final(alignment, direction, sources, targets, both)
    return alignment
