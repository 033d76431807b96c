// What people say of photos: shown at once, sent in order, and taken back step by step.

import * as service from "./service.js";

const STEPS = 100; // that can be taken back

const saidOf = ({ labels, wrong }) => ({ labels, wrong });
const wireOf = ({ labels, wrong }) => (wrong && labels === null ? { wrong: true } : { labels });

// `list` has the photos, `changed` is called when what is shown differs, `failed` when something wasn't saved.
export function changes(list, changed, failed) {
  const steps = []; // what the photos of each change had before
  const pending = []; // changes that aren't saved yet, and their steps
  const stale = new Set(); // photos that the service may know otherwise than they are shown
  let saving = Promise.resolve();

  // Gives each photo what `say` returns for it, and returns how many differ from before.
  async function apply(ids, say) {
    const captures = await list.all(ids);
    const next = new Map();
    for (const capture of captures) {
      const said = { wrong: false, ...say(capture) };
      if (JSON.stringify(saidOf(capture)) !== JSON.stringify(said)) next.set(capture.id, said);
    }
    if (!next.size) return 0;
    const before = new Map(captures.filter(({ id }) => next.has(id)).map((capture) => [capture.id, saidOf(capture)]));
    save(next, before);
    steps.push(before);
    if (steps.length > STEPS) steps.shift();
    return next.size;
  }

  // `step` is what takes this back; what is taken back itself has none.
  function save(next, step = null) {
    show(next);
    for (const id of next.keys()) if (!list.of(id)) stale.add(id); // it may be described as it was before
    pending.push({ next, step });
    saving = saving.then(async () => {
      const left = new Set(next.keys());
      try {
        for (const [key, ids] of groups(next)) await service.label(ids, JSON.parse(key), (some) => some.forEach((id) => left.delete(id)));
      } catch (error) {
        giveUp(left);
        failed(error);
      } finally {
        pending.shift();
        if (!pending.length && stale.size) lookAgain();
      }
    });
    return saving;
  }

  // The first pending change wasn't saved for these photos: neither it nor what was said of them since can be taken back.
  function giveUp(ids) {
    const [{ next, step: own }, ...later] = pending;
    for (const id of ids) {
      stale.add(id);
      for (const { step } of pending) step?.delete(id);
    }
    if (!own) steps.push(new Map([...next].filter(([id]) => ids.has(id) && !later.some((each) => each.next.has(id)))));
    steps.splice(0, steps.length, ...steps.filter((step) => step.size));
  }

  function lookAgain() {
    list.forget(stale);
    stale.clear();
    changed();
  }

  function show(said) {
    for (const [id, each] of said) list.set(id, each);
    changed();
  }

  return {
    apply,
    get canUndo() {
      return steps.length > 0;
    },
    get isSaving() {
      return pending.length > 0;
    },
    saved: () => saving,
    // Takes the last step back; returns its photos.
    undo() {
      const before = steps.pop();
      if (!before) return [];
      save(new Map(before));
      return [...before.keys()];
    },
    forget: () => steps.splice(0),
  };
}

// The same words are said of all their photos by one request.
function groups(next) {
  const found = new Map();
  for (const [id, said] of next) {
    const key = JSON.stringify(wireOf(said));
    found.set(key, [...(found.get(key) ?? []), id]);
  }
  return found;
}
