// How good a new version is: on the photos that it didn't learn from, and beside the one that serves.

import * as api from "../page/api.js";
import { el, percent } from "../page/dom.js";

const SHOWN = 6; // photos about which both versions disagree

const VERDICTS = {
  better: "Better than",
  not_worse: "Not worse than",
  worse: "Worse than",
  not_comparable: "Too little to compare it with",
};

export function showResult(box, { result }, fail) {
  const { accuracy, comparison } = result;
  const of = el("span", { textContent: " right, of photos that it didn't learn from" });
  if (accuracy !== null) sayHowMany(result, of).catch(() => {}); // the share alone says something, too
  box.replaceChildren(
    ...(accuracy === null ? [] : [el("p", { className: "figure" }, el("b", { textContent: percent(accuracy) }), of)]),
    el("p", { textContent: result.reason }),
    ...(comparison ? compared(comparison) : []),
    ...(result.report ? [el("p", {}, reportLink(result, fail))] : []),
  );
}

async function sayHowMany({ model, version }, of) {
  const { metrics } = await api.model(model, version);
  const images = Object.values(metrics)[0]?.images;
  if (images) of.textContent = ` right, of ${images.toLocaleString("en")} photos that it didn't learn from`;
}

// A link carries no key: with one, the report is fetched and saved, and opens offline.
function reportLink({ model, version }, fail) {
  const link = el("a", {
    href: api.urlOf(`models/${encodeURIComponent(model)}/report/`, { version }),
    textContent: "The report: confusions, mistakes, calibration",
  });
  link.addEventListener("click", async (event) => {
    if (!api.hasKey()) return;
    event.preventDefault();
    try {
      save(await api.report({ model, version }), `${model}-${version}-report.html`);
    } catch (error) {
      fail(error, () => link.click());
    }
  });
  return link;
}

export function save(blob, name) {
  const url = URL.createObjectURL(blob);
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

function compared(comparison) {
  const { verdict, serving, candidate, labels, new_labels: added = [], disagreements, photos } = comparison;
  const share = (value) => (value === null || value === undefined ? "–" : percent(value));
  const rows = [
    row("All", photos, share(serving.accuracy), share(candidate.accuracy)),
    ...labels.map((each) => row(each.label, each.photos, share(each.serving), share(each.candidate), each.is_lost)),
    ...added.map((each) => row(`${each.label} (new)`, each.photos, "–", share(each.candidate))),
  ];
  return [
    el("details", { className: "comparison", open: verdict === "worse" },
      el("summary", { textContent: `${VERDICTS[verdict]} version ${serving.version}` }),
      ...(photos ? [table(rows, serving.version, candidate.version)] : []),
      ...(disagreements.length ? [el("h3", { textContent: "Where they disagree" }), pictures(disagreements)] : []),
      el("p", { className: "quiet", textContent: comparison.rule })),
  ];
}

const row = (label, photos, serving, candidate, isLost) =>
  el("tr", { className: isLost ? "lost" : "" },
    el("th", { scope: "row", textContent: label }),
    ...[photos.toLocaleString("en"), serving, candidate].map((textContent) => el("td", { textContent })));

function table(rows, serving, candidate) {
  const heads = ["Right", "Photos", `Version ${serving}`, `Version ${candidate}`];
  return el("div", { className: "scroll", tabIndex: 0, attrs: { role: "region", "aria-label": "Accuracy of both versions by class" } },
    el("table", {},
      el("thead", {}, el("tr", {}, ...heads.map((textContent) => el("th", { scope: "col", textContent })))),
      el("tbody", {}, ...rows)));
}

function pictures(disagreements) {
  return el("ul", { className: "disagreements" }, ...disagreements.slice(0, SHOWN).map(({ label, serving, candidate, picture }) => {
    const isRight = candidate.label === label;
    return el("li", {},
      ...(picture ? [el("img", { src: picture, alt: "", width: 72, height: 72 })] : []),
      el("p", {},
        el("b", { textContent: label }),
        el("span", { textContent: `before: ${serving.label}` }),
        el("span", { className: isRight ? "good" : "bad", textContent: `now: ${candidate.label}` })));
  }));
}
