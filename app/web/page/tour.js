// The guided tour: five steps, of which each asks the service for its picture when it comes into view.

import { byId, el } from "./dom.js";
import { openConvolution } from "./convolution.js";
import { openNonlinearity } from "./nonlinearity.js";
import { openPixels } from "./pixels.js";
import { openPooling } from "./pooling.js";
import { openProbabilities } from "./probabilities.js";
import { openRequest } from "./request.js";

const STEPS = {
  "step-pixels": openPixels,
  "step-convolution": openConvolution,
  "step-nonlinearity": openNonlinearity,
  "step-pooling": openPooling,
  "step-probabilities": openProbabilities,
  "step-request": openRequest,
};
const AHEAD = "300px"; // a step is filled this far before it can be seen

// `context()` gives the photo and the model that are looked at, or null while there is none.
export function tour(context) {
  const inView = new Set();
  const seen = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) inView.add(target);
      else inView.delete(target);
      if (isIntersecting) fill(target, context());
    }
    markStop();
  }, { rootMargin: AHEAD });
  const read = new IntersectionObserver(markStop, { rootMargin: "-45% 0px -45%" });
  for (const id of Object.keys(STEPS)) {
    seen.observe(byId(id));
    read.observe(byId(id));
    byId(id).addEventListener("toggle", () => fill(byId(id), context()));
  }

  // Another photo or model: what is in view is filled anew, the rest when it comes into view.
  return function refresh() {
    for (const id of Object.keys(STEPS)) byId(id).dataset.shown = "";
    for (const step of inView) fill(step, context());
  };
}

async function fill(step, about) {
  if (!about || step.open === false) return; // a closed <details>; a section has no `open`
  if (step.dataset.shown === about.name) return;
  step.dataset.shown = about.name;
  const body = step.querySelector(".body"); // it keeps what it showed until the new is there
  body.setAttribute("aria-busy", "true");
  const page = el("div", { className: "inner" });
  try {
    const { own = "", whenShown } = (await STEPS[step.id](page, about)) ?? {};
    if (about.signal.aborted) return; // another photo or model was chosen meanwhile
    const sentence = step.querySelector("[data-own]");
    if (sentence) sentence.textContent = own;
    body.replaceChildren(page);
    whenShown?.();
  } catch (error) {
    if (about.signal.aborted) return;
    step.dataset.shown = "";
    body.replaceChildren(el("p", { className: "quiet", textContent: "This picture couldn't be made." }));
    about.fail(error);
  } finally {
    if (!about.signal.aborted) body.removeAttribute("aria-busy");
  }
}

// Marks the step in the middle of the window in the row of stops.
function markStop() {
  const middle = innerHeight / 2;
  const links = [...document.querySelectorAll(".stops a")];
  const current = links.findLast((link) => document.querySelector(link.hash).getBoundingClientRect().top < middle);
  for (const link of links)
    if (link === current) link.setAttribute("aria-current", "step");
    else link.removeAttribute("aria-current");
}
