// Step 5: features, the score of each label, and the probabilities that softmax makes of the scores.

import { byId, el, percent, short } from "./dom.js";
import { barsOf, largest } from "./layer_view.js";

const SUMS = new Set(["Gemm", "MatMul", "Add", "Conv"]);
const SHOWN = 5;

export async function openProbabilities(body, about) {
  const details = await about.details();
  const { features, scores, last } = lastLayers(details);
  if (!last) {
    body.replaceChildren(el("p", { textContent: "This model doesn't show its last layers." }));
    return { own: "" };
  }
  const [found, sums, shares] = await Promise.all([features, scores, last].map((layer) => layer && about.maps(layer.name)));
  const labels = details.label_names;
  const several = details.task === "multi_label";
  for (const paragraph of byId("step-probabilities").querySelectorAll("[data-task]"))
    paragraph.hidden = paragraph.dataset.task !== details.task;
  const count = (number) => number.toLocaleString("en");
  const rows = largest(shares.values, SHOWN);
  const peak = sums && Math.max(...rows.map((index) => Math.abs(sums.values[index])), 1e-9);
  body.replaceChildren(
    ...(found ? [el("figure", { className: "features" }, barsOf(found.values), el("figcaption", { textContent: `${count(found.values.length)} features: how much of each was found in this photo` }))] : []),
    el("div", { className: "scores", tabIndex: 0, attrs: { role: "region", "aria-label": "Scores and probabilities" } },
      el("table", {},
        el("thead", {}, el("tr", {}, head("Label"), sums && head("Score"), head("Probability"))),
        el("tbody", {}, ...rows.map((index) => el("tr", {},
          el("th", { scope: "row", textContent: labels[index] }),
          sums && cell(short(sums.values[index]), Math.max(0, sums.values[index]) / peak, "score"),
          cell(percent(shares.values[index]), shares.values[index], "share")))))),
    el("p", { className: "quiet", textContent: restText(rows, shares.values, several) }),
  );
  return { own: ownWords(found, labels.length) };
}

const head = (text) => el("th", { scope: "col", textContent: text });

function cell(text, share, kind) {
  const fill = el("i", { className: kind, attrs: { "aria-hidden": "true" } });
  fill.style.width = `${100 * Math.min(1, Math.max(0.004, share))}%`;
  return el("td", {}, el("span", { textContent: text }), fill);
}

// The last vectors of the graph: what goes into the last sums, the sums, and the probabilities.
function lastLayers({ layers, label_names: labels }) {
  const vectors = layers.filter((layer) => layer.shape.length === 1);
  const last = vectors.at(-1);
  if (!last || last.shape[0] !== labels.length) return {};
  const scores = vectors.slice(0, -1).findLast((layer) => SUMS.has(layer.op) && layer.shape[0] === labels.length);
  const features = scores && vectors[vectors.indexOf(scores) - 1];
  return { features, scores, last };
}

function ownWords(found, labels) {
  if (!found) return "";
  const count = found.values.length;
  return `Here: ${count.toLocaleString("en")} features and ${labels.toLocaleString("en")} labels, so ${(count * labels).toLocaleString("en")} weights.`;
}

function restText(rows, shares, several) {
  const rest = shares.length - rows.length;
  if (rest <= 0) return "";
  if (several) return `The other ${rest.toLocaleString("en")} ${rest === 1 ? "label has" : "labels have"} at most ${percent(shares[rows.at(-1)])}.`;
  const left = Math.max(0, 1 - rows.reduce((sum, index) => sum + shares[index], 0));
  return `The other ${rest.toLocaleString("en")} ${rest === 1 ? "label shares" : "labels share"} ${percent(left)}.`;
}
