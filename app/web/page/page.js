// The page's story: a photo comes in, one request answers it, and each step of the tour asks when it is seen.

import * as api from "./api.js";
import { awaitAnswer, hideAnswer, offerOtherLabels, showAnswer } from "./answer.js";
import { byId, say } from "./dom.js";
import { showDrift } from "./drift.js";
import { clearHeat, showHeat } from "./heat.js";
import { takePhotos } from "./intake.js";
import { cropOf, offerParts, show as showPart } from "./part.js";
import { drawPhoto, showSquare } from "./photo.js";
import { pickers } from "./pickers.js";
import { askForKey, clearProblem, showProblem } from "./problem.js";
import { offerSamples } from "./samples.js";
import { drawServed } from "./served_picture.js";
import { hideSimilar, showSimilar } from "./similar.js";
import { labelInStrip, pictureInStrip, showStrip } from "./strip.js";
import { tour } from "./tour.js";
import { inShort, isUnknown, namesLabel, verdictOf } from "./verdict.js";

// Photos that were taken in; `kept` holds what was asked about each, by model, version and question,
// and `labels` what the strip says of it by model and version.
const photos = [];
let current = null;
let answered = null; // the answer to the current photo, once it is known
let showsWhy = false; // whether photos are shown with the places that their label comes from
let wanted = null; // the label whose place in the photo was asked for last
let asking = new AbortController();

// What says something of one photo and nothing of the others.
const ABOUT_A_PHOTO = new Set(["not_an_image", "unsupported_format", "broken_image", "too_many_bytes", "too_many_pixels", "too_much_memory", "unreadable"]);

const SEVERAL = 20; // labels of a photo that may have several

const models = pickers(() => current && look(current), fail);
const refreshTour = tour(() => (answered ? context() : null));

const nameOf = (which) => `${which.model}/${which.version}${which.crop ? ` ${which.crop}` : ""}`;

// The model, and the part of a photo that is looked at.
const whichOf = (photo) => ({ ...models.chosen(), crop: cropOf(photo.part) });

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
  once(photo, which, "classify", () => api.classify(photo.file, which, models.hasSeveral() ? SEVERAL : 5));

// What a step is given: the photo, the model, and a way to ask each question once.
function context() {
  const photo = current;
  const which = whichOf(photo);
  const { signal } = asking;
  return {
    name: `${photos.indexOf(photo)} ${nameOf(which)}`,
    file: photo.file,
    which,
    signal,
    answer: () => classified(photo, which),
    details: () => models.details(),
    once: (question, ask) => once(photo, which, question, ask),
    maps: (layer, top = null) =>
      once(photo, which, `layer ${layer} ${top ?? ""}`, () =>
        api.activations(photo.file, which, { layer, top }, signal),
      ),
    kernel: (weights) =>
      once(photo, which, `kernel ${weights}`, () =>
        api.activations(photo.file, which, { kernel: weights }, signal),
      ),
    fail: (error) => fail(error, refresh),
  };
}

function fail(error, again) {
  if (error.name === "AbortError") return;
  if (!(error instanceof api.Problem)) console.error(error);
  if (error.code === "unauthenticated") askForKey(again);
  else showProblem(error, again);
}

function refresh() {
  clearProblem();
  refreshTour();
}

// Classifies a photo with the chosen model, unless that was done before, and shows the answer.
async function look(photo) {
  asking.abort();
  asking = new AbortController();
  const { signal } = asking;
  current = photo;
  answered = wanted = null;
  byId("looked").hidden = byId("answer").hidden = false;
  document.body.classList.add("has-photo");
  showStrip(photos, photo, look, (other) => other.labels.get(nameOf(models.chosen())));
  clearProblem();
  clearHeat();
  byId("working").hidden = false;
  showPart(photo.part, photo.size);
  awaitAnswer(models.labels());
  const isDrawn = await drawPhoto(photo, signal);
  if (signal.aborted) return;
  try {
    await models.ready();
    awaitAnswer(models.labels());
    const answer = await classified(photo, whichOf(photo));
    if (signal.aborted) return;
    answered = answer;
    photo.size = [answer.image.width, answer.image.height];
    showAnswer(answer, toggleLabel);
    say(`${verdictOf(answer)[0]}. ${photo.file.name}`);
    showDrift(models.chosen());
    showSimilar(context());
    refresh();
    if (showsWhy && answer.predictions.length) explain(answer.predictions[0].label);
    models.details().then(({ input }) => signal.aborted || showSquare(answer.image, input), () => {});
    if (!isDrawn) drawUndrawn(photo, signal).catch(() => {}); // its answer stands without a picture, too
  } catch (error) {
    if (signal.aborted) return;
    hideAnswer();
    hideSimilar();
    fail(error, () => look(photo));
    if (!ABOUT_A_PHOTO.has(error.code)) return; // the others would fare no better
  } finally {
    if (!signal.aborted && !wanted) byId("working").hidden = true;
  }
  classifyRest(models.chosen(), signal);
}

// A photo whose format the browser can't draw: the service read it, so it has its pixels.
async function drawUndrawn(photo, signal) {
  const { input } = await models.details();
  if (await drawServed(photo, models.chosen(), input, signal)) pictureInStrip(photos.indexOf(photo), photo.url);
}

// One after another, so that the strip tells of all photos; what fails says so when it is chosen.
async function classifyRest(which, signal) {
  for (const photo of photos) {
    const answer = await classified(photo, which).catch(() => null);
    if (signal.aborted) return;
    const label = answer
      ? { text: inShort(answer), isLabel: !isUnknown(answer) && namesLabel(answer) }
      : { text: "not read", isLabel: false };
    photo.labels.set(nameOf(which), label);
    labelInStrip(photos.indexOf(photo), label);
  }
}

// The switch below the photo: shows where the first label comes from, for this photo and the next ones.
function toggleWhy() {
  if (byId("show-why").getAttribute("aria-checked") === "true") hideWhy();
  else if (answered?.predictions.length) explain(answered.predictions[0].label);
  else if (!answered) {
    showsWhy = true; // when the answer comes
    byId("show-why").setAttribute("aria-checked", "true");
  }
}

function toggleLabel(label) {
  if (byId("heat").dataset.label === label) hideWhy();
  else explain(label);
}

function hideWhy() {
  showsWhy = false;
  wanted = null;
  clearHeat();
}

// Shows where a label comes from, over the photo; asked for once for each label.
async function explain(label) {
  const about = context();
  wanted = label;
  showsWhy = true;
  clearProblem();
  byId("working").hidden = false;
  try {
    const found = await about.once(`explain ${label}`, () =>
      api.explain(about.file, about.which, label, about.signal),
    );
    if (about.signal.aborted || label !== wanted) return;
    showHeat(found, models.hasSeveral());
    say(`The photo shows where ${found.label} comes from.`);
  } catch (error) {
    if (!about.signal.aborted) fail(error, () => explain(label));
  } finally {
    if (!about.signal.aborted) {
      byId("working").hidden = true;
      wanted = wanted === label ? null : wanted;
    }
  }
}

function take(files, { why = showsWhy } = {}) {
  showsWhy = why;
  for (const file of files)
    photos.push({ file, url: URL.createObjectURL(file), kept: new Map(), labels: new Map(), part: null });
  look(photos.at(-files.length)).then(() => {
    byId("answer").scrollIntoView({ block: "nearest" });
    byId("answer").focus({ preventScroll: true });
  });
}

takePhotos(take);
offerSamples((files) => take(files, { why: true }), fail);
offerParts(() => current, () => look(current));
offerOtherLabels(models, (label) => answered && explain(label));
byId("show-why").addEventListener("click", toggleWhy);

function begin() {
  models.ready().then(
    () => current && look(current),
    (error) => fail(error, begin),
  );
}
begin();
