// Probability bars; each label is a button that shows where in the photo it comes from.

import { byId, el, percent } from "./dom.js";
import { clearHeat } from "./photo.js";

const DECISIONS = {
  accepted: ["Accepted", "It looks like the photos of training, and one label is clear."],
  unsure: ["Unsure", "It looks familiar, but no label reaches two thirds."],
  unknown: ["Unknown", "It is like none of the photos of training: the labels mean little here."],
};

// Empties the answer, and keeps the room that `labels` labels will take: nothing moves when they come.
export function awaitAnswer(labels) {
  byId("bars").replaceChildren();
  byId("bars").style.minHeight = `${3.88 * Math.min(5, labels)}rem`;
  byId("decision").hidden = true;
}

export function showAnswer(answer, explain, models) {
  const bars = byId("bars");
  const decision = byId("decision");
  decision.hidden = !answer?.decision;
  byId("answer").hidden = !answer;
  byId("step-pixels").parentElement.hidden = !answer;
  if (!answer) {
    bars.replaceChildren();
    byId("caption").textContent = "";
    return;
  }
  if (answer.decision) {
    const [word, sentence] = DECISIONS[answer.decision];
    decision.dataset.decision = answer.decision;
    decision.textContent = word;
    decision.title = sentence;
  }
  bars.replaceChildren(...answer.predictions.map((prediction) => bar(prediction, explain)));
  const { format, width, height } = answer.image;
  const sentence = answer.decision ? ` ${DECISIONS[answer.decision][1]}` : "";
  byId("caption").textContent =
    `${format.toUpperCase()}, ${width} × ${height}; its centre square is read.${sentence}`;
  const other = byId("other");
  byId("other-label").onfocus = () => offerLabels(models).catch(() => {}); // it takes labels without help, too
  other.onsubmit = (event) => {
    event.preventDefault();
    const label = byId("other-label").value.trim();
    if (label) explain(label);
  };
}

function bar({ label, probability }, explain) {
  const fill = el("span", { className: "fill" });
  fill.style.width = `${Math.max(0.4, probability * 100)}%`;
  const button = el(
    "button",
    {
      type: "button",
      dataset: { label },
      attrs: { "aria-pressed": "false", "aria-label": `${label}, ${percent(probability)}: show where` },
    },
    el("span", { className: "label", textContent: label }),
    el("span", { className: "probability", textContent: percent(probability) }),
    el("span", { className: "track" }, fill),
  );
  button.addEventListener("click", () => {
    if (byId("heat").dataset.label === label) clearHeat();
    else explain(label);
  });
  return el("li", {}, button);
}

async function offerLabels(models) {
  const list = byId("labels");
  const { label_names: names, name, version } = await models.details();
  const key = `${name}/${version}`;
  if (list.dataset.of === key) return;
  list.dataset.of = key;
  list.replaceChildren(...names.map((value) => el("option", { value })));
}
