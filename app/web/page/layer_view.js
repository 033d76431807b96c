// What one layer made of the photo: its maps, or its numbers as bars.

import { drawTile, el, percent, picture, shapeText, short } from "./dom.js";

export const SHOWN = 24;

const WORDS = {
  Conv: "Each map is what one filter of this layer finds in the maps before it.",
  Relu: "What was below 0 has become 0.",
  Clip: "What was below 0 has become 0, and what was above the limit has become the limit.",
  Add: "Two layers, added up: in a block with a short cut, what it found and what came into it.",
  Concat: "Maps of several layers, side by side.",
  MaxPool: "Of each little square only the largest number is kept.",
  AveragePool: "Of each little square the mean is kept.",
  ReduceMean: "The mean of each map: what was found, no longer where.",
  GlobalAveragePool: "The mean of each map: what was found, no longer where.",
  Flatten: "All maps, written down as one long row of numbers.",
  Reshape: "The same numbers in another arrangement.",
  Gemm: "Each number here is a weighted sum of all numbers before.",
  MatMul: "Each number here is a weighted sum of all numbers before.",
  Div: "The numbers before, divided; at the end by the temperature that makes probabilities mean what they say.",
  Softmax: "Each label's share of the whole: the probabilities.",
  Transpose: "The photo's three colours, each as a map of its own, scaled to about −1 to 1.",
};

// The nodes that show `found`, the service's answer about `layer`.
export async function viewOf(found, layer, details) {
  const shown = found.shape.length === 3 ? await mapsOf(found) : vectorOf(found, layer, details);
  return [
    el("h4", {}, layer.name, " ", el("small", { textContent: `${layer.op}, ${shapeText(found.shape)}` })),
    el("p", { textContent: WORDS[layer.op] ?? "A step of the network." }),
    ...shown,
  ];
}

async function mapsOf(found) {
  const image = await picture(found.png);
  const tiles = found.channels.map((channel, index) =>
    el("li", {}, drawTile(el("canvas", { attrs: { role: "img", "aria-label": `Map ${channel.channel}: largest ${short(channel.max)}` } }), image, found.grid, index),
      el("span", { textContent: channel.channel })),
  );
  const which = found.channels.length < found.shape[0] ? `The ${found.channels.length} most active of ${found.shape[0].toLocaleString("en")} maps` : "All maps";
  return [
    el("ul", { className: "tiles", attrs: { "aria-label": "Maps" } }, ...tiles),
    el("p", { className: "quiet", textContent: `${which}, on one scale from ${short(found.scale.low)} to ${short(found.scale.high)}${found.scale.low < 0 ? "; grey is 0" : ""}.` }),
  ];
}

// A vector as bars, its largest numbers by name where they belong to labels.
function vectorOf(found, layer, details) {
  const values = found.values;
  const isLabels = values.length === details.label_names.length;
  const name = (index) => (isLabels ? details.label_names[index] : `number ${index}`);
  const number = (value) => (layer.op === "Softmax" ? percent(value) : short(value));
  return [
    barsOf(values),
    el("ol", { className: "largest" }, ...largest(values, 5).map((index) => el("li", {}, el("span", { textContent: name(index) }), el("b", { textContent: number(values[index]) })))),
  ];
}

// The indices of the largest numbers, the largest first.
export const largest = (values, count) => [...values.keys()].sort((a, b) => values[b] - values[a]).slice(0, count);

export function barsOf(values) {
  const canvas = el("canvas", { width: 960, height: 140, className: "vector", attrs: { role: "img", "aria-label": `${values.length} numbers, the largest ${short(Math.max(...values))}` } });
  const context = canvas.getContext("2d");
  const high = Math.max(0, ...values);
  const low = Math.min(0, ...values);
  const scale = canvas.height / (high - low || 1);
  const width = Math.min(48, canvas.width / values.length);
  context.fillStyle = getComputedStyle(document.body).getPropertyValue("--accent");
  values.forEach((value, index) => {
    const top = (high - Math.max(0, value)) * scale;
    context.fillRect(index * width, top, Math.max(1, width - (width > 3 ? 1 : 0)), Math.max(1, Math.abs(value) * scale));
  });
  return canvas;
}
