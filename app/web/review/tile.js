// How one photo looks in the grid, and how it sounds.

import { percent } from "../page/dom.js";

const SIGNS = { unknown: "?", unsure: "≈", accepted: "✓" };
const SPOKEN = { unknown: "unlike anything the model knows", unsure: "unsure", accepted: "clear" };

// What people said: a text, or null where nobody has said anything.
export function saidOf({ labels, wrong }) {
  if (labels?.length) return labels.join(", ");
  if (labels) return "none of these";
  return wrong ? "wrong" : null;
}

export function spokenOf(capture, place) {
  if (!capture) return `Photo ${place + 1}`;
  const [first] = capture.predictions;
  const said = saidOf(capture);
  const guess = `predicted ${first.label}, ${percent(first.probability)}${capture.decision ? `, ${SPOKEN[capture.decision]}` : ""}`;
  return `Photo ${place + 1}: ${said === null ? "no label yet" : said}; ${guess}`;
}

export function drawTile(cell, place, { capture, url, selected }) {
  const [frame, given, guess] = cell.children;
  const image = frame.firstChild;
  cell.setAttribute("aria-selected", selected);
  cell.setAttribute("aria-label", spokenOf(capture, place));
  if (url) {
    if (image.getAttribute("src") !== url) image.src = url;
    image.hidden = false;
  } else {
    image.hidden = true;
    image.removeAttribute("src");
  }
  cell.classList.toggle("gone", url === null);
  const said = capture ? saidOf(capture) : null;
  given.textContent = said ?? "";
  given.hidden = said === null;
  cell.classList.toggle("done", said !== null && said !== "wrong");
  if (!capture) {
    guess.textContent = "";
    return;
  }
  const [first] = capture.predictions;
  guess.textContent = `${SIGNS[capture.decision] ?? ""} ${first.label} ${percent(first.probability)}`;
  guess.dataset.decision = capture.decision ?? "";
}
