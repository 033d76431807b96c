// Step 4: the network in about seven stages, each with a map of this photo; every layer under details.

import { drawTile, el, picture, roving, shapeText } from "./dom.js";
import { SHOWN, viewOf } from "./layer_view.js";
import { layersShown, stagesOf } from "./stages.js";

const POOLS = { MaxPool: "the largest number", AveragePool: "the mean" };
const MEANS = new Set(["ReduceMean", "GlobalAveragePool"]);

export async function openPooling(body, about) {
  const details = await about.details();
  const layers = layersShown(details);
  const stages = stagesOf(layers);
  const view = el("div", { className: "layer-view", attrs: { "aria-live": "polite" } });
  const stageButtons = stages.map((stage, index) => stageButton(stage, index, () => choose(stage.at(-1))));
  const row = el("div", { className: "stages", attrs: { role: "group", "aria-label": "Stages of the network" } }, ...stageButtons);
  roving(row, "button");
  const layerButtons = layers.map((layer) => layerButton(layer, () => choose(layer)));
  const list = el("details", { className: "all-layers" },
    el("summary", { textContent: `All ${layers.length} layers` }),
    el("ol", {}, ...layerButtons.map((button) => el("li", {}, button))));
  roving(list, "button");
  let chosen = null;

  const ask = (layer) => about.maps(layer.name, layer.shape.length === 3 ? SHOWN : null);

  async function choose(layer) {
    chosen = layer;
    press(stageButtons, stages.findIndex((stage) => stage.includes(layer)));
    press(layerButtons, layers.indexOf(layer));
    view.setAttribute("aria-busy", "true");
    try {
      const nodes = await viewOf(await ask(layer), layer, details);
      if (chosen === layer) view.replaceChildren(...nodes);
    } catch (error) {
      about.fail(error);
    } finally {
      if (chosen === layer) view.removeAttribute("aria-busy");
    }
  }

  // One stage after another: the service opens a part of the network for each.
  async function fillStages() {
    for (const [index, stage] of stages.entries()) {
      const layer = stage.at(-1);
      if (layer.shape.length !== 3) continue;
      const found = await ask(layer);
      if (about.signal.aborted) return;
      const clearest = found.channels.reduce((best, { max, mean }, at, all) => (max - mean > all[best].max - all[best].mean ? at : best), 0);
      drawTile(stageButtons[index].querySelector("canvas"), await picture(found.png), found.grid, clearest);
    }
  }

  body.replaceChildren(row, view, list);
  const first = stages.findIndex((stage) => stage.some((layer) => layer.name === details.first_layer));
  await choose(stages[Math.max(first, 0)].at(-1));
  return { own: ownWords(details, stages), whenShown: () => fillStages().catch(about.fail) };
}

function press(buttons, index) {
  buttons.forEach((button, at) => {
    button.setAttribute("aria-pressed", String(at === index));
    button.tabIndex = at === Math.max(index, 0) ? 0 : -1;
  });
}

function stageButton(stage, index, choose) {
  const { shape } = stage.at(-1);
  const maps = shape.length === 3;
  const size = maps ? `${shape[1]} × ${shape[2]}` : shape[0].toLocaleString("en");
  const button = el(
    "button",
    { type: "button", attrs: { "aria-pressed": "false", "aria-label": `Stage ${index + 1}: ${shapeText(shape)}` } },
    maps ? el("canvas", { width: 56, height: 56, className: "map" }) : el("span", { className: "numbers-sign", textContent: "0.3  0  1.7 …" }),
    el("b", { textContent: size }),
    el("small", { textContent: maps ? `${shape[0].toLocaleString("en")} maps` : "numbers" }),
  );
  button.addEventListener("click", choose);
  return button;
}

function layerButton(layer, choose) {
  const button = el("button", { type: "button", attrs: { "aria-pressed": "false" } },
    el("b", { textContent: layer.name }), el("small", { textContent: `${layer.op}, ${shapeText(layer.shape)}` }));
  button.addEventListener("click", choose);
  return button;
}

// How this network makes its maps smaller.
function ownWords({ layers }, stages) {
  const maps = stages.filter((stage) => stage.at(-1).shape.length === 3);
  const pool = layers.find((layer) => POOLS[layer.op]);
  const way = pool ? `keeps ${POOLS[pool.op]} of each little square` : "lets filters skip places";
  const end = layers.some((layer) => MEANS.has(layer.op)) ? " At the end, the mean of each map is kept." : "";
  const [from, to] = [maps[0], maps.at(-1)].map((stage) => stage?.at(-1).shape);
  if (!from || String(from) === String(to)) return end.trim();
  return `This network ${way}: from ${from[1]} × ${from[2]} down to ${to[1]} × ${to[2]}, in ${layers.length} layers.${end}`;
}
