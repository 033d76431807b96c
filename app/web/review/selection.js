// Which photos are selected: one by one, or a range from the last one that was selected by itself.

export function selection(list, changed) {
  let chosen = new Set(); // ids
  let before = new Set(); // those outside the range that grows and shrinks
  let anchor = null; // the place where a range begins

  function set(ids) {
    chosen = ids;
    changed();
  }

  return {
    has: (id) => chosen.has(id),
    get size() {
      return chosen.size;
    },
    // In the order of the list.
    ids: () => [...chosen].sort((a, b) => list.placeOf(a) - list.placeOf(b)),
    only(place) {
      anchor = place;
      before = new Set();
      set(new Set([list.idAt(place)]));
    },
    toggle(place) {
      const id = list.idAt(place);
      const next = new Set(chosen);
      if (!next.delete(id)) next.add(id);
      anchor = place;
      before = new Set(next);
      before.delete(id);
      set(next);
    },
    // The next range begins where it is extended from.
    rest() {
      anchor = null;
      before = new Set(chosen);
    },
    // All from the last single one to this one; `from` where there is none.
    extend(place, from = place) {
      anchor ??= from;
      const next = new Set(before);
      for (let at = Math.min(anchor, place); at <= Math.max(anchor, place); at += 1) next.add(list.idAt(at));
      set(next);
    },
    add(first, last) {
      const next = new Set(chosen);
      for (let at = first; at <= last; at += 1) next.add(list.idAt(at));
      before = next;
      anchor = null;
      set(new Set(next));
    },
    clear() {
      anchor = null;
      before = new Set();
      if (chosen.size) set(new Set());
    },
  };
}
