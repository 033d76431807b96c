// The set of photos: one card for each class, kept like what the service has.

import { byId, say } from "../page/dom.js";
import { classCard } from "./card.js";
import { remember } from "./pictures.js";
import { problemOf } from "./problem_of.js";
import * as service from "./service.js";
import { uploads } from "./uploads.js";
import { showWarnings } from "./warnings.js";
import { closeWebcamIn } from "./webcam.js";

const WAIT_MS = 400; // after a change, before the service is asked for its counts and warnings

// `about` has changed() and fail(error, again).
export function classes(about) {
  let name = ""; // of the set
  let exists = false; // whether the service has it
  let cards = [];
  let made = 0;
  let timer = 0;
  let refreshed = Promise.resolve();
  const labelsOf = new Map(); // of the photos that were listed
  const unconfirmed = new Map(); // photos of a card that were sent, and not counted by the service since

  const sender = uploads({
    nameOf: () => name,
    changed: (card) => refreshCard(card),
    failed: about.fail,
    refused: (card, files, error) =>
      card.say(`${plural(files.length, "photo wasn't", "photos weren't")} added. ${problemOf(error)}`, true),
    told: (card, files, answer) => {
      exists = true;
      const bad = answer.results.filter((result) => result.problem);
      answer.results.forEach((result, at) => result.id && remember(name, result.id, files[at]));
      const added = answer.results.filter((result) => result.status === "added" || result.status === "moved").length;
      unconfirmed.set(card, (unconfirmed.get(card) ?? 0) + added);
      refreshCard(card);
      const text = summary(answer, bad);
      if (text) card.say(text, bad.length > 0);
      soon();
    },
  });

  function summary({ results }, bad) {
    const count = (status) => results.filter((result) => result.status === status).length;
    const parts = [];
    if (count("moved")) parts.push(`${plural(count("moved"), "photo was", "photos were")} in another class, and moved here.`);
    if (count("present")) parts.push(`${plural(count("present"), "photo was", "photos were")} here already.`);
    if (bad.length) parts.push(`${plural(bad.length, "file", "files")} can't be used. ${problemOf(bad[0].problem)}`);
    return parts.join(" ");
  }

  const pending = (card) => sender.countOf(card) + (unconfirmed.get(card) ?? 0);

  function refreshCard(card) {
    card.show(card.total(), pending(card));
    about.changed();
  }

  const on = {
    name: () => name,
    fail: about.fail,
    async photos(label, page) {
      const listed = await service.photosOf(name, label, page);
      for (const photo of listed.photos) labelsOf.set(photo.id, photo.labels);
      return listed;
    },
    add: (card, photos) => {
      card.say("");
      return sender.add(card, photos);
    },
    async rename(card, wanted) {
      const other = cardOf(wanted);
      if (other && other !== card) {
        card.say(`There is a class ${other.label()} already.`, true);
        return false;
      }
      return changeClass(card, async () => {
        await service.renameLabels(name, { [card.label()]: wanted });
        relabel(card.label(), [wanted]);
      });
    },
    async remove(card) {
      closeWebcamIn(card.node);
      const isDone = await changeClass(card, async () => {
        await service.removeLabels(name, [card.label()]);
        relabel(card.label(), []);
      });
      if (!isDone) return;
      sender.drop(card);
      cards = cards.filter((other) => other !== card);
      card.node.remove();
      if (!cards.length) addCard();
      say(`The class ${card.label()} was removed.`);
      byId("add-class").focus();
      about.changed();
    },
    async deletePhotos(card, ids) {
      const isDone = await change(() => service.deletePhotos(name, ids));
      if (isDone) {
        say(`${plural(ids.length, "photo", "photos")} deleted.`);
        await refresh();
      }
      return isDone;
    },
  };

  const warned = {
    name: () => name,
    labelsOf: (id) => labelsOf.get(id) ?? cards.map((card) => card.label()),
    keep: (id, label) => change(async () => {
      const photo = new File([await service.photo(name, id)], id);
      await service.addPhotos(name, label, [photo], { move: true });
      say(`The photo belongs to ${label}.`);
    }),
  };

  async function change(ask) {
    try {
      await inTurn(ask);
      soon();
      return true;
    } catch (error) {
      about.fail(error, null);
      return false;
    }
  }

  // A change of all photos of a class, also of those that were just sent.
  async function changeClass(card, ask) {
    await sender.settled();
    return change(async () => {
      await refreshNow();
      if (card.total()) await ask();
    });
  }

  // Labels of the photos that were listed before a label was renamed or removed.
  function relabel(label, now) {
    for (const [id, labels] of labelsOf) labelsOf.set(id, labels.flatMap((each) => (each === label ? now : each)));
  }

  // A new card, at the end or in the place of another.
  function addCard(label = freeName(), place = null) {
    made += 1;
    const card = classCard(label, made, on);
    if (place) {
      closeWebcamIn(place.node);
      cards[cards.indexOf(place)] = card;
      place.node.replaceWith(card.node);
    } else {
      cards.push(card);
      byId("classes").append(card.node);
    }
    about.changed();
    return card;
  }

  // The card of a label; one that got neither photos nor a name makes room.
  function cardFor(label, taken = new Map()) {
    const isSpare = (card) => /^Class \d+$/.test(card.label()) && !card.total() && !pending(card) && !taken.has(card.label());
    return cardOf(label) ?? addCard(label, cards.find(isSpare));
  }

  function freeName() {
    for (let at = 1; ; at++) if (!cardOf(`Class ${at}`)) return `Class ${at}`;
  }

  // The service takes labels that differ only in case for one.
  const cardOf = (label) => cards.find((card) => card.label().toLowerCase() === label.toLowerCase());

  // Also while photos go on coming.
  function soon() {
    timer ||= setTimeout(() => {
      timer = 0;
      refresh().catch((error) => about.fail(error, soon));
    }, WAIT_MS);
  }

  // Brings the cards to what the service has, one time after another; cards without photos stay.
  const refresh = () => inTurn(refreshNow);
  const inTurn = (act) => (refreshed = refreshed.catch(() => {}).then(act));

  async function refreshNow() {
    if (!exists) return;
    const mine = name;
    const before = new Map(unconfirmed);
    const told = await service.dataset(name).catch((error) => {
      if (error.status === 404) return { labels: [], warnings: [] };
      throw error;
    });
    if (mine !== name) return;
    const photos = new Map(told.labels.map((each) => [each.label, each.photos]));
    for (const label of photos.keys()) cardFor(label, photos).spell(label);
    for (const [card, counted] of before) unconfirmed.set(card, unconfirmed.get(card) - counted);
    for (const card of cards) card.show(photos.get(card.label()) ?? 0, pending(card));
    await Promise.all(cards.map((card) => card.refresh()));
    showWarnings(told.warnings, warned);
    byId("forget").hidden = !told.labels.length;
    about.changed();
  }

  return {
    refresh,
    addCard,
    name: () => name,
    exists: () => exists,
    settled: sender.settled,
    isBusy: sender.isBusy,
    // Before all photos are deleted: no more are sent.
    stop: async () => {
      closeWebcamIn(byId("classes"));
      sender.drop();
      await sender.settled();
      sender.drop(); // what failed meanwhile
    },
    counts: () => cards.map((card) => ({ label: card.label(), photos: card.total() + pending(card) })).filter(({ photos }) => photos),
    labels: () => cards.filter((card) => card.total()).map((card) => card.label()),
    teach: (label, files) => cardFor(label).add(files),
    cardAt: (node) => cards.find((card) => card.node === node),
    // Begins with another set, or with an empty one that gets its name with its first photo.
    open: async (wanted, isThere) => {
      closeWebcamIn(byId("classes"));
      await sender.settled();
      sender.drop();
      name = wanted;
      exists = isThere;
      made = 0;
      cards = [];
      byId("classes").replaceChildren();
      labelsOf.clear();
      unconfirmed.clear();
      showWarnings([], warned);
      byId("forget").hidden = true;
      if (isThere) await refresh();
      while (cards.length < 2) addCard();
    },
    rename: (wanted) => (name = wanted), // of a set that has no photos yet
    came: () => ((exists = true), refresh()),
  };
}

const plural = (count, one, many) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
