// What people say of photos: shown at once, sent in order, and taken back step by step.

import * as service from "./service.js";

const STEPS = 100; // that can be taken back

const saidOf = ({ labels, wrong }) => ({ labels, wrong });
const wireOf = ({ labels, wrong }) => (wrong && labels === null ? { wrong: true } : { labels });

// `list` has the photos, `changed` is called when what is shown differs, `failed` when something wasn't saved.
export function changes(list, changed, failed) {
  const steps = [];
  let saving = Promise.resolve();
  let pending = 0;

  // Gives each photo what `say` returns for it, and returns how many differ from before.
  async function apply(ids, say) {
    const captures = await list.all(ids);
    const next = new Map();
    for (const capture of captures) {
      const said = { wrong: false, ...say(capture) };
      if (JSON.stringify(saidOf(capture)) !== JSON.stringify(said)) next.set(capture.id, said);
    }
    if (!next.size) return 0;
    const before = new Map([...next.keys()].map((id) => [id, saidOf(list.of(id))]));
    save(next, before);
    steps.push(before);
    if (steps.length > STEPS) steps.shift();
    return next.size;
  }

  function save(next, before) {
    show(next);
    pending += 1;
    saving = saving.then(async () => {
      try {
        for (const [key, ids] of groups(next)) await service.label(ids, JSON.parse(key));
      } catch (error) {
        const at = steps.indexOf(before);
        if (at >= 0) steps.splice(at, 1);
        show(before);
        failed(error);
      } finally {
        pending -= 1;
      }
    });
    return saving;
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
      return pending > 0;
    },
    saved: () => saving,
    // Takes the last step back; returns its photos.
    undo() {
      const before = steps.pop();
      if (!before) return [];
      const now = new Map([...before.keys()].filter((id) => list.of(id)).map((id) => [id, saidOf(list.of(id))]));
      save(before, now);
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
