// The answer as a sentence: "Probably an Egyptian cat, 63 %"; of a model for which a photo may have several labels:
// "It shows a cat, 97 %, and a dog, 93 %".

import { named } from "./article.js";
import { percent } from "./dom.js";

const LIKELY = 0.5; // without a rule of the model's own: the first label is more likely than all others
const VERY_LIKELY = 0.9;
const RIVAL = 0.25; // a second label with this share of the first one's probability is named too

export const isUnknown = (answer) => answer.decision === "unknown";

// The sentence, and why it isn't said more plainly.
export function verdictOf(answer) {
  const [first, second] = answer.predictions;
  if (isUnknown(answer))
    return [
      "This doesn't resemble anything the model was trained on",
      `Its labels mean little here; grey are those that come nearest.${familiarity(answer)}`,
    ];
  if (hasSeveral(answer)) return severalOf(answer);
  if (!first) return ["No label", "The model gave no label for this photo."];
  const certain = answer.decision === "accepted" || (answer.decision === null && first.probability >= LIKELY);
  if (certain) {
    const how = first.probability >= VERY_LIKELY ? "Very probably" : "Probably";
    const why = answer.decision ? because(answer, "It resembles the photos of training, and one label is clear.", "One label is clear.") : "";
    return [`${how} ${named(first.label)}, ${percent(first.probability)}`, why];
  }
  const why = answer.decision === "unsure"
    ? because(answer, "It resembles the photos of training, but no label is clear.", "No label is clear.")
    : "No label reaches one half.";
  if (second && second.probability >= RIVAL * first.probability)
    return [
      `Either ${named(first.label)}, ${percent(first.probability)}, or ${named(second.label)}, ${percent(second.probability)}`,
      why,
    ];
  return [`Perhaps ${named(first.label)}, ${percent(first.probability)}`, why];
}

// Whether the model may give a photo several labels, or none: each prediction says whether it is accepted.
export const hasSeveral = ({ predictions: [first] }) => first?.accepted !== undefined;

const acceptedOf = ({ predictions }) => predictions.filter((each) => each.accepted);

function severalOf(answer) {
  const labels = acceptedOf(answer).map(({ label, probability }) => `${named(label)}, ${percent(probability)}`);
  const why = answer.decision === "unsure"
    ? "At least one label is too close to call: its probability decides neither way."
    : "Each label is decided by itself: a photo may have several, or none.";
  if (!labels.length) return ["It shows none of the labels", why];
  const last = labels.pop();
  return [labels.length ? `It shows ${labels.join(", ")}, and ${last}` : `It shows ${last}`, why];
}

export const namesLabel = (answer) => (hasSeveral(answer) ? acceptedOf(answer) : answer.predictions).length > 0;

// What stands below the photo in the strip.
export function inShort(answer) {
  if (isUnknown(answer)) return "unknown";
  if (hasSeveral(answer)) return acceptedOf(answer).map(({ label }) => label).join(", ") || "no label";
  return answer.predictions[0]?.label ?? "no label";
}

// A model may decide by its probabilities alone.
const because = (answer, compared, alone) => (answer.unknown_score === "familiarity" ? compared : alone);

function familiarity({ familiarity: found, unknown_threshold: threshold }) {
  if (typeof found !== "number" || typeof threshold !== "number") return "";
  return ` Its familiarity is ${found.toFixed(2)}; a known photo has at least ${threshold.toFixed(2)}.`;
}
