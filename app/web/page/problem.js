// What went wrong, in one place, with what to do about it.

import { hasKey, setKey } from "./api.js";
import { byId, el } from "./dom.js";

const HINTS = {
  too_many_bytes: "Most phones and viewers can export a smaller copy. 480 pixels on the shorter side are enough.",
  too_many_pixels: "Most phones and viewers can export a smaller copy. 480 pixels on the shorter side are enough.",
  unsupported_format: "Save the photo as JPEG or PNG, and drop that one here.",
  not_an_image: "This file holds no photo. Choose another.",
  broken_image: "The file is cut short or damaged. Copy it again, or choose another.",
  queue_full: "The service is busy. It tells when there is likely to be room.",
  deadline_passed: "The service was too busy to answer in time.",
};
const WORTH_A_RETRY = new Set(["queue_full", "deadline_passed", "model_not_ready", "gone", "internal", "body_too_slow"]);

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
  const hint = HINTS[problem.code];
  box.replaceChildren(
    el("h2", { textContent: problem.title ?? "Something went wrong on this page" }),
    el("p", { textContent: problem.detail ?? String(problem) }),
  );
  if (hint) box.append(el("p", { className: "quiet", textContent: hint }));
  if (problem.requestId) box.append(el("p", { className: "quiet", textContent: `Request ${problem.requestId}` }));
  byId("again").replaceChildren(...(WORTH_A_RETRY.has(problem.code) ? [retry(problem, again)] : []));
  box.hidden = false;
  box.scrollIntoView({ block: "nearest" });
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

export function askForKey(problem, again) {
  clearProblem();
  byId("key-told").textContent = hasKey() ? problem.detail : "It is kept until this tab is closed.";
  const form = byId("key-form");
  form.hidden = false;
  form.onsubmit = (event) => {
    event.preventDefault();
    const key = byId("key").value.trim();
    if (!/^[\x21-\x7e]+$/.test(key)) {
      byId("key-told").textContent = "A key has letters, digits and signs of ASCII alone. Was something else copied with it?";
      return;
    }
    setKey(key);
    form.hidden = true;
    again();
  };
  byId("key").value = "";
  byId("key").focus();
}
