// The page's story: photos that teach most come first; people select some and say what they show, or take it back.

import { hasKey } from "../page/api.js";
import { byId, el, say } from "../page/dom.js";
import { askForKey, clearProblem, showProblem } from "../page/problem.js";
import { changes } from "./changes.js";
import { closeup } from "./closeup.js";
import { dialogs } from "./dialogs.js";
import { filters } from "./filters.js";
import { grid } from "./grid.js";
import { arrows, shortcuts } from "./keyboard.js";
import { palette } from "./palette.js";
import { photos } from "./photos.js";
import { selection } from "./selection.js";
import * as service from "./service.js";
import { thumbnails } from "./thumbnails.js";
import { drawTile } from "./tile.js";

const THUMBNAILS_MS = 90; // between two looks at what is on the screen, while it scrolls
const COUNTS_MS = 400; // after the last change
const LIKELY = 0.5; // a label of several that counts as predicted

let several = false; // whether a photo of this model may have several labels
let counts = null;
let asking = new AbortController();
const timers = {};

const list = photos(() => redraw(), fail);
const pictures = thumbnails((id) => drawOne(list.placeOf(id)), fail);
const chosen = selection(list, () => {
  redraw();
  if (chosen.size > 1) say(`${counted(chosen.size)} selected.`);
});
const said = changes(list, () => redraw(), fail);
const tiles = grid(byId("photos"), draw, rest);
const labels = palette({ give, none, more: () => askForLabel() });
const which = filters((name) => load({ anew: name === "model" }));
let meant = []; // the photos that a dialog was opened for
const ask = dialogs({
  label: (name) => {
    labels.learn(name);
    return give(name, meant);
  },
  remove: () => remove(meant),
  help: labels.drawFields,
});
const large = closeup(list, {
  go: (by) => {
    tiles.focus(tiles.focused + by, { move: false });
    return tiles.focused;
  },
  press: (event) => press(event),
  closed: () => tiles.focus(tiles.focused),
  failed: fail,
});

const counted = (number) => (number === 1 ? "1 photo" : `${number.toLocaleString("en")} photos`);

// What the next label is for: the photo that is shown large, those that are selected, or the one with the focus.
function targets() {
  if (!large.isOpen && chosen.size) return chosen.ids();
  const id = list.idAt(tiles.focused);
  return id === undefined ? [] : [id];
}

// Drawing

let frame = 0;
function redraw() {
  frame ||= requestAnimationFrame(() => {
    frame = 0;
    tiles.redraw();
    large.draw();
    showActions();
  });
}

function draw(cell, place) {
  const id = list.idAt(place);
  drawTile(cell, place, { capture: list.of(id), url: pictures.urlOf(id), selected: chosen.has(id) });
}

function drawOne(place) {
  const cell = tiles.cellAt(place);
  if (cell && Number(cell.dataset.place) === place) draw(cell, place);
}

let onScreen = [0, 0];
function rest(first, last) {
  onScreen = [first, last];
  list.want(first, Math.min(list.count - 1, 2 * last - first + 1));
  timers.pictures ??= setTimeout(() => {
    timers.pictures = null;
    const [from, to] = onScreen;
    const next = Math.min(list.count - 1, 2 * to - from + 1); // another screen below
    pictures.want(Array.from({ length: next - from + 1 }, (_, at) => list.idAt(from + at)));
  }, THUMBNAILS_MS);
}

function showActions() {
  byId("select-none").disabled = chosen.size === 0;
  byId("undo").disabled = !said.canUndo;
}

// Loading

async function load({ anew = false, keep = false } = {}) {
  asking.abort();
  asking = new AbortController();
  const { signal } = asking;
  try {
    clearProblem(); // before it may be told that something wasn't saved
    await said.saved();
    const [found] = await Promise.all([service.ids(which.query(), signal), (anew || !counts) && count(true)]);
    const at = tiles.focused;
    list.show(found.ids);
    chosen.clear();
    showList(found.more);
    tiles.show(list.count, keep);
    if (keep && document.activeElement === document.body && list.count) tiles.focus(Math.min(at, list.count - 1));
    redraw();
  } catch (error) {
    if (!signal.aborted) fail(error);
  }
}

async function count(anew = false) {
  counts = await service.counts(which.model());
  which.offer(counts);
  byId("progress").max = Math.max(1, counts.captures);
  byId("progress").value = counts.labelled;
  byId("progress-told").textContent = `${counts.labelled.toLocaleString("en")} of ${counts.captures.toLocaleString("en")} have a label`;
  if (!anew) return;
  const model = which.model() || (counts.models.length === 1 ? counts.models[0].name : "");
  const own = await service.labelsOf(model);
  several = own?.several ?? false;
  const names = (counted) => counted.map(({ name }) => name);
  labels.begin(model, own?.names, names(counts.labels), names(counts.predicted));
}

function countSoon() {
  clearTimeout(timers.counts);
  timers.counts = setTimeout(() => said.saved().then(() => count()).catch(fail), COUNTS_MS);
}

function showList(more) {
  const empty = byId("empty");
  empty.hidden = list.count > 0;
  byId("photos").hidden = list.count === 0;
  byId("dock").hidden = counts.captures === 0;
  say(more ? "The first 100,000 photos are shown." : `${counted(list.count)}.`);
  if (list.count) return;
  if (!counts.captures)
    return empty.replaceChildren(
      el("h2", { textContent: "No photo is kept yet" }),
      el("p", { textContent: "Whoever runs this service says which photos are kept, such as HUBEL_CAPTURE=unsure,unknown for those that the model can't decide about." }));
  const { labelled, ...others } = which.values();
  const isDone = labelled === "false" && !others.decision && !others.predicted && !others.label && !others.since && !others.until;
  const all = el("button", { type: "button", textContent: "Show all photos" });
  all.addEventListener("click", () => which.showAll());
  empty.replaceChildren(
    el("h2", { textContent: isDone ? "Everything has a label" : "No photo is like this" }),
    el("p", { textContent: isDone ? "Train with these labels, and look again when new photos have come." : "Choose other filters above." }),
    all);
}

function fail(error) {
  if (error.name === "AbortError") return;
  if (error.code === "unauthenticated") askForKey(() => load({ anew: true }));
  else if (error.code === "forbidden" && hasKey())
    askForKey(() => load({ anew: true }), "This key doesn't allow to review photos. Ask whoever runs the service for one with the scope label.");
  else showProblem(error, () => load({ anew: true }));
  if (!error.code) console.error(error);
}

// What people say

async function change(ids, say1, text) {
  if (!ids.length) return;
  try {
    const changed = await said.apply(ids, say1);
    say(changed ? `${counted(changed)}: ${text}.` : "Nothing to change.");
    countSoon();
    goOn(ids);
  } catch (error) {
    fail(error);
  }
}

// After a label the focus goes to the next photo without one, so that the next digit is for that.
function goOn(ids) {
  const places = ids.map((id) => list.placeOf(id)).filter((place) => place !== undefined);
  if (!places.length) return;
  let next = Math.max(...places) + 1;
  while (next < list.count && list.at(next)?.labels) next += 1;
  chosen.clear();
  next = Math.min(next, list.count - 1);
  const isInside = byId("photos").contains(document.activeElement);
  tiles.focus(next, { move: isInside });
  if (large.isOpen) large.look(next);
}

function give(label, ids = targets()) {
  if (!several) return change(ids, () => ({ labels: [label] }), label);
  const hasAll = ids.every((id) => list.of(id)?.labels?.includes(label));
  return change(
    ids,
    ({ labels: now }) => ({ labels: hasAll ? now.filter((each) => each !== label) : [...new Set([...(now ?? []), label])] }),
    hasAll ? `no longer ${label}` : `also ${label}`,
  );
}

function none() {
  return change(targets(), () => ({ labels: [] }), "none of these labels");
}

function confirm() {
  const predicted = ({ predictions }) => (several ? predictions.filter((each) => each.probability >= LIKELY) : predictions.slice(0, 1));
  return change(targets(), (capture) => ({ labels: predicted(capture).map((each) => each.label) }), "labelled as predicted");
}

function takeBack() {
  return change(targets(), () => ({ labels: null }), "no label any more");
}

function undo() {
  const ids = said.undo();
  say(ids.length ? `Taken back for ${counted(ids.length)}.` : "Nothing to take back.");
  countSoon();
  const places = ids.map((id) => list.placeOf(id)).filter((place) => place !== undefined);
  if (ids.length && !places.length) return load({ keep: true }); // they had left the list
  if (!places.length) return undefined;
  const first = Math.min(...places);
  tiles.focus(first, { move: byId("photos").contains(document.activeElement) });
  if (large.isOpen) large.look(first);
  return undefined;
}

async function remove(ids) {
  try {
    await said.saved();
    await service.remove(ids);
    if (large.isOpen) large.close();
    const at = list.placeOf(ids[0]) ?? 0;
    list.drop(ids);
    chosen.clear();
    showList(false);
    tiles.show(list.count, true);
    say(`${counted(ids.length)} deleted.`);
    if (list.count) tiles.focus(Math.min(at, list.count - 1));
    countSoon();
  } catch (error) {
    fail(error);
  }
}

// Keys and pointers

const selectScreen = () => list.count && chosen.add(...tiles.screen());
const refresh = () => load({ keep: true }).then(() => say("Refreshed."));
const open = () => list.count && large.open(tiles.focused);
const askFor = (open) => {
  meant = targets();
  if (meant.length) open(meant.length);
};
const askToDelete = () => askFor(ask.toDelete);
const askForLabel = () => askFor(ask.forLabel);

const press = shortcuts({
  digit: (digit) => (digit === 0 ? none() : labels.labelOf(digit) !== undefined && give(labels.labelOf(digit))),
  n: askForLabel,
  p: confirm,
  x: takeBack,
  z: undo,
  "Ctrl z": undo,
  Delete: askToDelete,
  Backspace: askToDelete,
  "?": () => ask.forHelp(),
});
const pressInGrid = shortcuts({ a: selectScreen, "Ctrl a": selectScreen, r: refresh, Enter: open, Escape: () => chosen.clear() });
const move = arrows(tiles, () => list.count, (to, extends_) => {
  const from = tiles.focused;
  tiles.focus(to);
  if (extends_) chosen.extend(to, from);
  else chosen.rest();
});

byId("photos").addEventListener("keydown", (event) => {
  if (event.key === " ") {
    event.preventDefault();
    if (event.shiftKey) chosen.extend(tiles.focused);
    else chosen.toggle(tiles.focused);
  } else move(event) || pressInGrid(event) || press(event);
});

byId("photos").addEventListener("click", (event) => {
  const cell = event.target.closest(".tile");
  if (!cell) return;
  const place = Number(cell.dataset.place);
  const from = tiles.focused;
  const byFinger = event.pointerType ? event.pointerType === "touch" : matchMedia("(pointer: coarse)").matches;
  tiles.focus(place);
  if (event.shiftKey) chosen.extend(place, from);
  else if (event.ctrlKey || event.metaKey || byFinger) chosen.toggle(place);
  else if (chosen.size === 1 && chosen.has(list.idAt(place))) chosen.clear();
  else chosen.only(place);
});
byId("photos").addEventListener("dblclick", open);

for (const [id, act] of Object.entries({ "select-screen": selectScreen, "select-none": () => chosen.clear(), confirm, "take-back": takeBack, look: open, undo, refresh, delete: askToDelete, keys: () => ask.forHelp() }))
  byId(id).addEventListener("click", act);

// The photo with the focus, or the first on the screen if that one was scrolled away.
function focusOnScreen() {
  const [first, last] = tiles.screen();
  tiles.focus(tiles.focused >= first && tiles.focused <= last ? tiles.focused : first);
}

// After a button was pressed with the mouse or a finger, the keys are for the photos again.
byId("dock").addEventListener("click", (event) => {
  if (event.detail && event.target.closest("button") && !document.querySelector("dialog[open]") && list.count) focusOnScreen();
});

addEventListener("beforeunload", (event) => said.isSaving && event.preventDefault());

load({ anew: true });
