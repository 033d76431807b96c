// The panel below the answer: whether the photos of late are like those that the model was tested on, in words.

import * as api from "./api.js";
import { byId, el, percent } from "./dom.js";

const SENTENCES = {
  stable: "look like those that the model was tested on after its training.",
  moderate: "differ a little from those that the model was tested on after its training.",
  significant:
    "differ clearly from those that the model was tested on after its training. It may be wrong more often than it was then. Check some of its answers, and train it with photos of now.",
};
const DECISIONS = { accepted: "clear", unsure: "unsure", unknown: "unlike anything it was trained on" };

// Asks how the model's last predictions compare, and shows it once there are enough to compare.
export async function showDrift(which) {
  const panel = byId("drift");
  const found = await api.drift(which).catch(() => null); // it is an aside: without it the page is complete
  panel.hidden = !(found && found.status in SENTENCES);
  if (panel.hidden) return;
  panel.querySelector(".body").replaceChildren(
    el("p", { textContent: `The last ${found.images.toLocaleString("en")} photos ${SENTENCES[found.status]}` }),
    el("ul", { className: "changes" }, ...changes(found).map((textContent) => el("li", { textContent }))),
    el("p", {
      className: "quiet",
      textContent:
        `Compared are its answers, with those for the ${found.baseline_images.toLocaleString("en")} photos of the test. ` +
        "A difference says that the photos or their mixture changed, not that answers are wrong.",
    }),
  );
}

// A sentence for each property of the answers that isn't as it was.
function changes({ statistics, embedding }) {
  const sentences = statistics.filter(({ status }) => status !== "stable").map((each) => TELL[each.of](each.bins));
  if (embedding && embedding.status !== "stable")
    sentences.push("The photos themselves look different to the network, whatever it answers.");
  return sentences;
}

const TELL = {
  decision: (bins) => {
    const more = grownMost(bins);
    return `More answers are ${DECISIONS[more.name]}: ${instead(more)}.`;
  },
  label: (bins) => {
    const [more, less] = [grownMost(bins), grownMost(bins, -1)];
    return `More photos show ${more.name}, ${instead(more)}, and fewer ${less.name}, ${instead(less)}.`;
  },
  confidence: (bins) =>
    meanBin(bins, "actual") < meanBin(bins, "expected")
      ? "The model is less sure of its answers."
      : "The model is surer of its answers.",
};

const instead = ({ actual, expected }) => `${percent(actual)} instead of ${percent(expected)}`;

const grownMost = (bins, sign = 1) =>
  bins.reduce((most, bin) =>
    sign * (bin.actual - bin.expected) > sign * (most.actual - most.expected) ? bin : most,
  );

// The bins are in the order of their probabilities.
const meanBin = (bins, share) => bins.reduce((sum, bin, index) => sum + index * bin[share], 0);
