// The layers of a network in about seven stages: runs of layers whose maps have the same size.

export const NONLINEAR = new Set(["Relu", "Clip", "LeakyRelu", "PRelu", "Elu", "Selu", "HardSwish", "Gelu", "Mish", "Tanh", "Sigmoid"]);
const MOST = 8;
const FEWEST = 5;
const LONG = 8; // layers from which a stage may be divided

// The layers without the sums that go straight into a nonlinearity of the same size.
export function layersShown({ layers }) {
  return layers.filter((layer, index) => {
    const next = layers[index + 1];
    return !(layer.op === "Conv" && next && NONLINEAR.has(next.op) && String(next.shape) === String(layer.shape));
  });
}

// Lists of layers, in order. The numbers at the end, which lie nowhere in the photo, are one stage.
export function stagesOf(layers) {
  const size = (layer) => (layer.shape.length === 3 ? layer.shape.slice(1).join("×") : "vector");
  const stages = [];
  for (const layer of layers)
    if (stages.length && size(stages.at(-1)[0]) === size(layer)) stages.at(-1).push(layer);
    else stages.push([layer]);
  while (stages.length > MOST) join(stages);
  while (stages.length < FEWEST && divide(stages));
  return stages;
}

// Puts the two neighbours together that have the fewest layers.
function join(stages) {
  let best = 0;
  const layersOf = (at) => stages[at].length + stages[at + 1].length;
  for (let at = 1; at + 1 < stages.length; at++) if (layersOf(at) < layersOf(best)) best = at;
  stages.splice(best, 2, [...stages[best], ...stages[best + 1]]);
}

// Divides the longest stage in two; false where it is short already.
function divide(stages) {
  const longest = stages.reduce((best, stage, at) => (stage.length > stages[best].length ? at : best), 0);
  const stage = stages[longest];
  if (stage.length < LONG) return false;
  const half = Math.ceil(stage.length / 2);
  stages.splice(longest, 1, stage.slice(0, half), stage.slice(half));
  return true;
}
