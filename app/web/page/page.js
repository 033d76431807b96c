// The page's story: a photo comes in, one request answers it, and each step asks when it is opened.

import * as api from "./api.js";
import { byId, el, say } from "./dom.js";
import { clearHeat, drawPhoto, showHeat } from "./photo.js";
import { takePhotos } from "./intake.js";
import { askForKey, clearProblem, showProblem } from "./problem.js";
import { pickers } from "./pickers.js";
import { awaitAnswer, showAnswer } from "./answer.js";
import { openFilters } from "./filters.js";
import { openLayers } from "./layers.js";
import { openOwn } from "./own.js";
import { openPixels } from "./pixels.js";
import { openRequest } from "./request.js";
import { labelInStrip, showStrip } from "./strip.js";

// Photos that were taken in; `kept` holds what was asked about each, by model, version and question,
// and `labels` its label by model and version.
const photos = [];
let current = null;
let wanted = null; // the label whose place in the photo was asked for last
let asking = new AbortController();

// What says something of one photo and nothing of the others.
const ABOUT_A_PHOTO = new Set(["not_an_image", "unsupported_format", "broken_image", "too_many_bytes", "too_many_pixels", "unreadable"]);

const steps = {
  "step-pixels": openPixels,
  "step-filters": openFilters,
  "step-own": openOwn,
  "step-layers": openLayers,
  "step-request": openRequest,
};

const models = pickers(() => current && look(current), fail);

const nameOf = (which) => `${which.model}/${which.version}`;

// Asks a question about a photo and a model once; what went wrong is asked again.
function once(photo, which, question, ask) {
  const key = `${nameOf(which)} ${question}`;
  if (!photo.kept.has(key)) {
    const answer = ask();
    photo.kept.set(key, answer);
    answer.catch(() => photo.kept.delete(key));
  }
  return photo.kept.get(key);
}

const classified = (photo, which) =>
  once(photo, which, "classify", () => api.classify(photo.file, which));

// What a step is given: the photo, the model, and a way to ask each question once.
function context() {
  const photo = current;
  const which = models.chosen();
  return {
    file: photo.file,
    which,
    signal: asking.signal,
    answer: () => classified(photo, which),
    details: () => models.details(),
    once: (question, ask) => once(photo, which, question, ask),
    fail: (error) => fail(error, () => refresh()),
  };
}

function fail(error, again) {
  if (error.name === "AbortError") return;
  if (!(error instanceof api.Problem)) console.error(error);
  if (error.code === "unauthenticated") askForKey(error, again);
  else showProblem(error, again);
}

// Classifies a photo with the chosen model, unless that was done before, and shows the answer.
async function look(photo) {
  asking.abort();
  asking = new AbortController();
  const { signal } = asking;
  current = photo;
  byId("looked").hidden = byId("answer").hidden = false;
  document.body.classList.add("has-photo");
  showStrip(photos, photo, look, (other) => other.labels.get(nameOf(models.chosen())));
  clearProblem();
  clearHeat();
  byId("working").hidden = false;
  await drawPhoto(photo, signal);
  if (signal.aborted) return;
  try {
    await models.ready();
    awaitAnswer(models.labels());
    const which = models.chosen();
    const answer = await classified(photo, which);
    if (signal.aborted) return;
    showAnswer(answer, explain, models);
    say(`${answer.predictions[0]?.label ?? "No label"}, ${photo.file.name}`);
    refresh();
  } catch (error) {
    if (signal.aborted) return;
    showAnswer(null);
    fail(error, () => look(photo));
    if (!ABOUT_A_PHOTO.has(error.code)) return; // the others would fare no better
  } finally {
    if (!signal.aborted) byId("working").hidden = true;
  }
  classifyRest(models.chosen(), signal);
}

// One after another, so that the strip tells of all photos; what fails says so when it is chosen.
async function classifyRest(which, signal) {
  for (const photo of photos) {
    const answer = await classified(photo, which).catch(() => null);
    if (signal.aborted) return;
    const label = answer?.predictions[0]?.label ?? "?";
    photo.labels.set(nameOf(which), label);
    labelInStrip(photos.indexOf(photo), label);
  }
}

// Shows where a label comes from, over the photo; asked for once for each label.
async function explain(label) {
  const about = context();
  wanted = label;
  clearProblem();
  byId("working").hidden = false;
  try {
    const found = await about.once(`explain ${label}`, () =>
      api.explain(about.file, about.which, label, about.signal),
    );
    if (about.signal.aborted || label !== wanted) return;
    showHeat(found);
    say(`The photo shows where ${found.label} comes from.`);
  } catch (error) {
    fail(error, () => explain(label));
  } finally {
    if (!about.signal.aborted) byId("working").hidden = true;
  }
}

// Fills the steps that stand open; a closed one asks for nothing.
function refresh() {
  clearProblem();
  for (const [id, open] of Object.entries(steps)) {
    const step = byId(id);
    step.dataset.shown = "";
    if (step.open) fill(step, open);
  }
}

async function fill(step, open) {
  if (!current) return;
  const about = context();
  const shown = `${photos.indexOf(current)} ${about.which.model} ${about.which.version}`;
  if (step.dataset.shown === shown) return;
  step.dataset.shown = shown;
  const body = step.querySelector(".body"); // it keeps what it showed until the new is there
  body.setAttribute("aria-busy", "true");
  const page = el("div", { className: "inner" });
  try {
    const whenShown = await open(page, about);
    if (about.signal.aborted) return; // another photo or model was chosen meanwhile
    body.replaceChildren(page);
    whenShown?.();
  } catch (error) {
    if (about.signal.aborted) return;
    step.dataset.shown = "";
    body.replaceChildren(el("p", { className: "quiet", textContent: error.detail ?? "" }));
    about.fail(error);
  } finally {
    if (!about.signal.aborted) body.removeAttribute("aria-busy");
  }
}

takePhotos((files) => {
  for (const file of files)
    photos.push({ file, url: URL.createObjectURL(file), kept: new Map(), labels: new Map() });
  look(photos.at(-files.length)).then(() => {
    byId("answer").scrollIntoView({ block: "nearest" });
    byId("answer").focus({ preventScroll: true });
  });
});

for (const [id, open] of Object.entries(steps))
  byId(id).addEventListener("toggle", () => byId(id).open && fill(byId(id), open));

function begin() {
  models.ready().then(
    () => current && look(current),
    (error) => fail(error, begin),
  );
}
begin();
