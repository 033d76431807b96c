// What went wrong, in one place, with what to do about it.

import { hasKey, setKey } from "./api.js";
import { byId, el } from "./dom.js";
import { textOf } from "./problem_texts.js";

const WORTH_A_RETRY = new Set([
  "queue_full", "no_capacity", "out_of_memory", "deadline_passed", "model_not_ready", "gone", "too_many_wrong_keys", "internal", "body_too_slow", "client_gone",
]);

let timer = 0;

export function clearProblem() {
  clearInterval(timer);
  byId("problem").hidden = true;
  byId("again").replaceChildren();
  byId("key-form").hidden = true;
}

export function showProblem(problem, again) {
  clearInterval(timer);
  const box = byId("problem");
  const [title, sentence] = textOf(problem);
  box.replaceChildren(el("h2", { textContent: title }), el("p", { textContent: sentence }), ...said(problem));
  byId("again").replaceChildren(...(WORTH_A_RETRY.has(problem.code) ? [retry(problem, again)] : []));
  box.hidden = false;
  box.scrollIntoView({ block: "nearest" });
}

// The service's own words, for whoever runs it.
function said({ title, detail, requestId }) {
  if (!detail) return [];
  const lines = [title && `${title}.`, detail, requestId && `Request ${requestId}.`];
  return [
    el("details", {},
      el("summary", { textContent: "What the service said" }),
      el("p", { className: "quiet", textContent: lines.filter(Boolean).join(" ") })),
  ];
}

// A button that counts down for as long as the service asked to wait.
function retry(problem, again) {
  const button = el("button", { type: "button", className: "primary" });
  let left = problem.retryAfter ?? 0;
  const show = () => {
    button.disabled = left > 0;
    button.textContent = left > 0 ? `Try again in ${left} s` : "Try again";
  };
  show();
  timer = setInterval(() => {
    left -= 1;
    show();
    if (left <= 0) clearInterval(timer);
  }, 1000);
  button.addEventListener("click", () => {
    clearProblem();
    again();
  });
  return button;
}

// `lacking` says what a key that is known may not do.
export function askForKey(again, lacking = null) {
  clearProblem();
  byId("key-told").textContent = lacking ?? (hasKey()
    ? "This key isn't known here. Check it, or ask whoever runs the service."
    : "It is kept until this tab is closed.");
  const form = byId("key-form");
  form.hidden = false;
  form.onsubmit = (event) => {
    event.preventDefault();
    const key = byId("key").value.trim();
    if (!/^[\x21-\x7e]+$/.test(key)) {
      byId("key-told").textContent = "A key has only plain letters, digits and signs. Was something else copied with it?";
      return;
    }
    setKey(key);
    form.hidden = true;
    again();
  };
  byId("key").value = "";
  byId("key").focus();
}
