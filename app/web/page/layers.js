// Step 4: the network as a row of layers; each shows its maps of this photo when it is chosen.

import * as api from "./api.js";
import { drawTile, el, percent, picture, roving, shapeText, short } from "./dom.js";

const NONLINEAR = new Set(["Relu", "Clip", "LeakyRelu", "PRelu", "Elu", "Selu", "HardSwish", "Gelu", "Mish", "Tanh"]);
const SHOWN = 24;

// The layer that was looked at last, so that another photo shows the same one.
let last = null;

const WORDS = {
  Conv: "Each map is what one filter of this layer answers to the maps before it.",
  Relu: "What was below 0 has become 0.",
  Clip: "What was below 0 has become 0, and what was above the largest allowed has become that.",
  Add: "Two layers, added up: in a block with a short cut, what it found and what came into it.",
  MaxPool: "Of each little square only the largest answer is kept.",
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

export async function openLayers(body, about) {
  const details = await about.details();
  const layers = details.layers.filter((layer, index) => {
    const next = details.layers[index + 1];
    return !(layer.op === "Conv" && next && NONLINEAR.has(next.op) && String(next.shape) === String(layer.shape));
  });
  const place = el("span", { attrs: { "aria-live": "polite" } });
  const view = el("div", { className: "layer-view" });
  const buttons = layers.map((layer, index) => {
    const button = el("button", { type: "button", tabIndex: index ? -1 : 0, attrs: { "aria-pressed": "false", "aria-label": `${layer.name}: ${shapeText(layer.shape)}` } }, block(layer.shape));
    button.addEventListener("click", () => choose(index));
    return button;
  });
  const row = el("div", { className: "tower", attrs: { role: "group", "aria-label": "Layers, from pixels to probabilities" } }, ...buttons);
  roving(row, "button");
  const step = (by, text) => {
    const button = el("button", { type: "button", textContent: text });
    button.addEventListener("click", () => choose(Math.min(layers.length - 1, Math.max(0, at + by))));
    return button;
  };
  let at = 0;

  const centre = () => row.scrollTo({ left: buttons[at].offsetLeft - row.clientWidth / 2 });

  async function choose(index) {
    at = index;
    const layer = layers[index];
    last = layer.name;
    buttons.forEach((button, other) => {
      button.setAttribute("aria-pressed", String(other === index));
      button.tabIndex = other === index ? 0 : -1;
    });
    centre();
    place.textContent = `${index + 1} of ${layers.length}: ${layer.name}`;
    view.setAttribute("aria-busy", "true");
    try {
      const found = await about.once(`layer ${layer.name} ${layer.shape.length > 1 ? SHOWN : ""}`, () =>
        api.activations(about.file, about.which, { layer: layer.name, top: layer.shape.length > 1 ? SHOWN : null }, about.signal),
      );
      const shown = found.shape.length === 3 ? await mapsOf(found, layer) : vectorOf(found, layer, details);
      if (at === index) view.replaceChildren(...shown);
    } catch (error) {
      about.fail(error);
    } finally {
      view.removeAttribute("aria-busy");
    }
  }

  body.replaceChildren(
    el("p", { textContent: "Taller is finer, wider is more maps. On the way the maps grow smaller and more: less of where, more of what." }),
    row,
    el("div", { className: "stepper" }, step(-1, "← Before"), place, step(1, "Next →")),
    view,
  );
  const find = (name) => layers.findIndex((layer) => layer.name === name);
  await choose(Math.max(0, find(last) >= 0 ? find(last) : find(details.first_layer)));
  return centre;
}

// A picture of a layer's shape: as high as its maps, as wide as there are many, both by logarithm.
function block(shape) {
  const node = el("span", { className: shape.length === 3 ? "block" : "block vector", attrs: { "aria-hidden": "true" } });
  const [count, height] = shape.length === 3 ? shape : [shape[0], 1];
  node.style.height = `${shape.length === 3 ? 10 + 9 * Math.log2(height) : 10 + 5 * Math.log2(count)}px`;
  node.style.width = `${shape.length === 3 ? 4 + 2 * Math.log2(count) : 8}px`;
  return node;
}

const heading = (found, layer) => [
  el("h3", {}, layer.name, " ", el("small", { textContent: `${layer.op}, ${shapeText(found.shape)}` })),
  el("p", { textContent: WORDS[layer.op] ?? "A step of the network." }),
];

async function mapsOf(found, layer) {
  const image = await picture(found.png);
  const tiles = found.channels.map((channel, index) =>
    el("li", {}, drawTile(el("canvas", { attrs: { role: "img", "aria-label": `Map ${channel.channel}: largest ${short(channel.max)}` } }), image, found.grid, index),
      el("span", { textContent: channel.channel })),
  );
  const which = found.channels.length < found.shape[0] ? `The ${found.channels.length} most active of ${found.shape[0]} maps` : "All maps";
  return [
    ...heading(found, layer),
    el("ul", { className: "tiles", attrs: { "aria-label": "Maps" } }, ...tiles),
    el("p", { className: "quiet", textContent: `${which}, on one scale from ${short(found.scale.low)} to ${short(found.scale.high)}${found.scale.low < 0 ? "; grey is 0" : ""}.` }),
  ];
}

// A vector as bars, its largest numbers by name where they belong to labels.
function vectorOf(found, layer, details) {
  const values = found.values;
  const isLabels = values.length === details.label_names.length;
  const largest = [...values.keys()].sort((a, b) => values[b] - values[a]).slice(0, 5);
  const name = (index) => (isLabels ? details.label_names[index] : `number ${index}`);
  const number = (value) => (layer.op === "Softmax" ? percent(value) : short(value));
  const canvas = el("canvas", { width: 960, height: 140, className: "vector", attrs: { role: "img", "aria-label": `${values.length} numbers, the largest ${short(values[largest[0]])}` } });
  drawBars(canvas, values);
  return [
    ...heading(found, layer),
    canvas,
    el("ol", { className: "largest" }, ...largest.map((index) => el("li", {}, el("span", { textContent: name(index) }), el("b", { textContent: number(values[index]) })))),
  ];
}

function drawBars(canvas, values) {
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
}
