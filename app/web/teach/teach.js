// The page's story: photos come in, a training learns from them, its version is tried, and used.

import * as api from "../page/api.js";
import { byId, say } from "../page/dom.js";
import { askForKey, clearProblem, showProblem } from "../page/problem.js";
import { bring } from "./bring.js";
import { classes } from "./classes.js";
import { byFolder, chosenFolder, isBundle, isOnnx, isZip, takeDrops } from "./intake.js";
import { takeKey } from "./key_in_address.js";
import { live } from "./live.js";
import * as service from "./service.js";
import { training } from "./training.js";
import { use } from "./use.js";

const NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;
const NEW = "";

const set = classes({ changed: () => trainer.refresh(), fail });
const trainer = training({
  dataset: set.name,
  counts: set.counts,
  settled: set.settled,
  finished: (job, isOld) => showModel(job, isOld).catch((error) => fail(error, () => showModel(job, isOld))),
  fail,
});
const trial = live({ labels: set.labels, teach: (label, file) => set.teach(label, [file]), fail });
const usage = use({ changed: (list) => showVersions(list), fail });
const bringing = bring({
  started: trainer.watch,
  installed: ({ model, version }) => showModel({ result: { model, version } }, false).catch((error) => fail(error, begin)),
  fail,
});

let shownModel = null; // {model, version} of the version that is tried and used

function fail(error, again) {
  if (error.name === "AbortError") return;
  if (!(error instanceof api.Problem)) console.error(error);
  if (error.code === "store_off") showState("store_off");
  else if (error.code === "forbidden" && /HUBEL_ADMIN_KEY/.test(error.detail)) showState("no_admin_key");
  else if (error.code === "forbidden" && api.hasKey())
    askForKey(again ?? begin, "This key doesn't allow teaching. Ask whoever runs the service for one with the scope admin.");
  else if (error.code === "unauthenticated" || error.code === "forbidden") askForKey(again ?? begin);
  else showProblem(error, again ?? begin);
}

// Where the page can't do anything, it says what it needs.
function showState(state) {
  byId("workshop").hidden = state !== null;
  for (const notice of document.querySelectorAll("[data-state]")) notice.hidden = notice.dataset.state !== state;
}

async function begin() {
  clearProblem();
  try {
    const [sets, jobs] = await Promise.all([service.datasets(), service.jobs()]);
    const running = jobs.find((job) => job.state === "running" || job.state === "queued");
    const wanted = running?.request.train?.dataset ?? remembered();
    const open = sets.find(({ name }) => name === wanted) ?? sets.toSorted((one, other) => (one.modified < other.modified ? 1 : -1))[0];
    offerSets(sets, open?.name ?? NEW);
    await openSet(open?.name ?? freeName(sets), Boolean(open), jobs);
    showState(null);
    byId("captures-label").hidden = !(await service.hasLabelledCaptures().catch(() => false));
  } catch (error) {
    fail(error, begin);
  }
}

function offerSets(sets, chosen) {
  const options = [...sets.map(({ name }) => new Option(name, name)), new Option("New…", NEW)];
  byId("dataset").replaceChildren(...options);
  byId("dataset").value = chosen;
  byId("dataset-label").hidden = !sets.length;
}

function freeName(sets) {
  const taken = new Set(sets.map(({ name }) => name));
  for (let at = 1; ; at++) {
    const name = at === 1 ? "my-model" : `my-model-${at}`;
    if (!taken.has(name)) return name;
  }
}

async function openSet(name, isThere, jobs) {
  byId("name").value = name;
  byId("name-label").hidden = isThere;
  byId("name-told").textContent = "";
  trainer.stop();
  shownModel = null;
  byId("try").hidden = byId("use").hidden = true;
  delete byId("model-name").dataset.own;
  await set.open(name, isThere);
  trainer.attachTo(jobs);
  if (!shownModel) await showModel(null, true);
}

// After a training: its version; at first: the one that serves under the name of the photos.
async function showModel(job, isOld) {
  const model = job?.result?.model ?? set.name();
  shownModel = { model, version: job?.result?.version ?? null };
  showVersions(await api.models());
  const isElsewhere = document.activeElement !== document.body && !byId("train").contains(document.activeElement);
  if (job && !isOld && !isElsewhere) byId("try-title").focus();
}

function showVersions(list) {
  const { model } = shownModel;
  const versions = list.models.filter((each) => each.name === model && each.state === "ready").toSorted((one, other) => other.version - one.version);
  const version = versions.find((each) => each.version === shownModel.version) ?? versions.find((each) => each.serving) ?? versions[0];
  shownModel.version = version?.version ?? null;
  trial.offer(model, versions, version?.version);
  usage.show(model, versions, version?.version, list);
}

function remembered() {
  try {
    return sessionStorage.getItem("hubel-photos");
  } catch {
    return null;
  }
}

function remember(name) {
  try {
    sessionStorage.setItem("hubel-photos", name);
  } catch {}
}

byId("dataset").addEventListener("change", async ({ target }) => {
  clearProblem();
  try {
    const [sets, jobs] = await Promise.all([service.datasets(), service.jobs()]);
    if (target.value) remember(target.value);
    await openSet(target.value || freeName(sets), Boolean(target.value), jobs);
  } catch (error) {
    fail(error, begin);
  }
});
byId("name").addEventListener("change", ({ target }) => {
  const wanted = target.value.trim().toLowerCase().replaceAll(/[^a-z0-9._-]+/g, "-").replace(/^[._-]+/, "");
  if (set.exists() || set.isBusy()) { // the photos keep their name
    const model = byId("model-name");
    if (NAME.test(wanted)) {
      model.value = wanted;
      model.dataset.own = "yes";
    }
    target.value = model.value;
    return;
  }
  const isTaken = [...byId("dataset").options].some(({ value }) => value === wanted);
  byId("name-told").textContent = isTaken ? "There are photos of this name already." : "";
  target.value = NAME.test(wanted) && !isTaken ? wanted : set.name();
  set.rename(target.value);
  trainer.refresh();
});
byId("add-class").addEventListener("click", () => set.addCard().focusName());

// Folders and zips have a folder for each class.
async function takeFolders(found) {
  for (const [label, files] of byFolder(found)) set.teach(label || "Class 1", files);
}

async function takeZip(file) {
  say("Reading the zip…");
  document.body.classList.add("busy");
  byId("name").disabled = true;
  try {
    const answer = await service.addZip(set.name(), file);
    await set.came();
    say(`${answer.added} photos added.`);
    const bad = answer.skipped?.length ?? 0;
    if (bad) byId("name-told").textContent = `${bad} files of the zip were skipped: ${answer.skipped[0].file}, ${answer.skipped[0].reason}`;
  } catch (error) {
    fail(error, () => takeZip(file));
  } finally {
    document.body.classList.remove("busy");
    byId("name").disabled = false;
  }
}

async function take(target, dropped) {
  const found = await dropped;
  const [first] = found;
  if (!first) return;
  if (found.length === 1 && isOnnx(first.file)) bringing.take(first.file);
  else if (found.length === 1 && isZip(first.file)) await ((await isBundle(first.file)) ? bringing.take(first.file) : takeZip(first.file));
  else if (target.dataset.drop === "try") trial.look(first.file);
  else if (target.dataset.drop === "class") set.cardAt(target).take(found);
  else await takeFolders(found);
}

takeDrops((target, dropped) => take(target, dropped).catch((error) => fail(error, null)));
for (const id of ["folder", "zip"]) {
  byId(`choose-${id}`).addEventListener("click", () => byId(id).click());
  byId(id).addEventListener("change", async ({ target }) => {
    const files = id === "folder" ? chosenFolder(target) : [...target.files];
    target.value = "";
    if (id === "folder") await takeFolders(files);
    else if (files.length) await takeZip(files[0]);
  });
}
byId("forget-now").addEventListener("click", async () => {
  try {
    await set.stop();
    await service.deleteDataset(set.name());
    byId("forget").open = false;
    await begin();
  } catch (error) {
    fail(error, begin);
  }
});

// What has happened meanwhile, in another browser for example.
document.addEventListener("visibilitychange", async () => {
  if (document.hidden || byId("workshop").hidden || trainer.isRunning()) return;
  try {
    const running = (await service.jobs()).find((job) => job.state === "running" || job.state === "queued");
    if (running) trainer.watch(running);
    await set.refresh();
  } catch {} // the next action says what is wrong
});

addEventListener("hashchange", () => takeKey() && begin());
takeKey();
begin();
