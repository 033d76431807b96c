// The page's story: a photo comes in, one request answers it, and each step asks when it is opened.

import * as api from "./api.js";
import { byId, el, say } from "./dom.js";
import { clearHeat, drawPhoto, showHeat } from "./photo.js";
import { takePhotos } from "./intake.js";
import { askForKey, clearProblem, showProblem } from "./problem.js";
import { pickers } from "./pickers.js";
import { makeRoom, showAnswer } from "./answer.js";
import { openFilters } from "./filters.js";
import { openLayers } from "./layers.js";
import { openOwn } from "./own.js";
import { openPixels } from "./pixels.js";
import { openRequest } from "./request.js";

// One photo that was taken in. `answers` and `kept` hold what was asked, by model and version.
const photos = [];
let current = null;
let asking = new AbortController();

const steps = {
  "step-pixels": openPixels,
  "step-filters": openFilters,
  "step-own": openOwn,
  "step-layers": openLayers,
  "step-request": openRequest,
};

const models = pickers(() => current && look(current));

// What a step is given: the photo, the model, and a way to ask each question once.
function context() {
  const which = models.chosen();
  const name = `${which.model}/${which.version ?? ""}`;
  const { signal } = asking;
  const photo = current;
  return {
    file: photo.file,
    which,
    signal,
    answer: photo.answers.get(name),
    details: () => models.details(),
    once: (question, ask) => {
      const key = `${name} ${question}`;
      if (!photo.kept.has(key)) {
        const answer = ask();
        photo.kept.set(key, answer);
        answer.catch(() => photo.kept.delete(key));
      }
      return photo.kept.get(key);
    },
    fail: (error) => fail(error, () => refresh()),
    explain,
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
  drawStrip();
  clearProblem();
  clearHeat();
  byId("working").hidden = false;
  await drawPhoto(photo);
  if (signal.aborted) return;
  try {
    await models.ready();
    makeRoom(models.labels());
    const which = models.chosen();
    const name = `${which.model}/${which.version ?? ""}`;
    if (!photo.answers.has(name)) photo.answers.set(name, await api.classify(photo.file, which, signal));
    if (signal.aborted) return;
    const answer = photo.answers.get(name);
    showAnswer(answer, explain, models);
    say(`${answer.predictions[0]?.label ?? "No label"}, ${photo.file.name}`);
    refresh();
  } catch (error) {
    if (error.name !== "AbortError") showAnswer(null);
    fail(error, () => look(photo));
  } finally {
    if (!signal.aborted) byId("working").hidden = true;
  }
}

// Shows where a label comes from, over the photo; asked for once for each label.
async function explain(label) {
  const about = context();
  clearProblem();
  byId("working").hidden = false;
  try {
    const found = await about.once(`explain ${label}`, () =>
      api.explain(about.file, about.which, label, about.signal),
    );
    if (about.signal.aborted) return;
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
  if (!about.answer || step.dataset.shown === shown) return;
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

function drawStrip() {
  const strip = byId("strip");
  strip.hidden = photos.length < 2;
  strip.replaceChildren(
    ...photos.map((photo, index) => {
      const button = el(
        "button",
        { type: "button", attrs: { "aria-label": `Photo ${index + 1}: ${photo.file.name}`, "aria-pressed": photo === current } },
        el("img", { src: photo.url, alt: "", width: 56, height: 56 }),
      );
      button.addEventListener("click", async () => {
        await look(photo);
        strip.children[index]?.firstChild.focus();
      });
      return el("li", {}, button);
    }),
  );
}

takePhotos((files) => {
  for (const file of files)
    photos.push({ file, url: URL.createObjectURL(file), answers: new Map(), kept: new Map() });
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
