// The answer: its sentence, and a bar for each label, which is a button that shows where it comes from.

import { byId, el, percent } from "./dom.js";
import { hasSeveral, isUnknown, verdictOf } from "./verdict.js";

// Empties the answer, and keeps the room that `labels` labels will take: nothing moves when they come.
export function awaitAnswer(labels) {
  byId("bars").replaceChildren();
  byId("bars").style.minHeight = `${3.5 * Math.min(5, labels)}rem`;
  byId("verdict").textContent = "…";
  byId("because").textContent = "";
  byId("caption").textContent = "";
}

export function hideAnswer() {
  byId("answer").hidden = byId("tour").hidden = byId("step-request").hidden = byId("drift").hidden = true;
}

export function showAnswer(answer, explain) {
  byId("answer").hidden = byId("tour").hidden = byId("step-request").hidden = false;
  const [sentence, why] = verdictOf(answer);
  byId("verdict").textContent = sentence;
  byId("verdict").dataset.decision = answer.decision ?? "";
  byId("because").textContent = why;
  byId("bars").classList.toggle("grey", isUnknown(answer));
  byId("bars").classList.toggle("several", hasSeveral(answer));
  byId("bars").replaceChildren(...answer.predictions.map((prediction) => bar(prediction, explain)));
}

function bar({ label, probability, accepted }, explain) {
  const fill = el("span", { className: "fill" });
  fill.style.width = `${Math.max(0.4, probability * 100)}%`;
  const button = el(
    "button",
    {
      type: "button",
      dataset: { label },
      attrs: { "aria-pressed": "false", "aria-label": `${label}, ${percent(probability)}${decided(accepted)}: show where` },
    },
    el("span", { className: "label", textContent: label }),
    el("span", { className: "probability", textContent: percent(probability) }),
    el("span", { className: "track" }, fill),
  );
  button.addEventListener("click", () => explain(label));
  return el("li", { className: accepted ? "accepted" : "" }, button);
}

const decided = (accepted) => (accepted === undefined ? "" : accepted ? ", accepted" : ", not accepted");

// Lets any other label of the model be asked for.
export function offerOtherLabels(models, explain) {
  byId("other-label").onfocus = () => listLabels(models).catch(() => {}); // it takes labels without help, too
  byId("other").onsubmit = (event) => {
    event.preventDefault();
    const label = byId("other-label").value.trim();
    if (label) explain(label);
  };
}

async function listLabels(models) {
  const list = byId("labels");
  const { label_names: names, name, version } = await models.details();
  const key = `${name}/${version}`;
  if (list.dataset.of === key) return;
  list.dataset.of = key;
  list.replaceChildren(...names.map((value) => el("option", { value })));
}
