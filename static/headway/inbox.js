// The inbox page beyond its forms and links, all of which work without this file: what is done shows at once and can be
// undone, what arrives waits behind "Show 2 new", and what happens in another tab happens here too.

import { $, $$, countPicked, form, list, menu, number, page, rows, setRead, settle, takeOut, titleOf } from "./inbox/rows.js";
import { begin, end, force, goOn, ready, sync } from "./inbox/sync.js";

const ACT = "/inbox/act/";
const FAILED = { text: "The server did not answer. What you see is what is stored.", status: "failed", icon: "fail", stays: true };
const DONE = {
  read: ["Marked as read", "read"], unread: ["Marked as unread", "bell"], archive: ["Archived", "archive"],
  restore: ["Moved to the inbox", "inbox"], wake: ["Moved to the inbox", "inbox"], snooze: ["Snoozed", "snooze"], mute: ["Muted", "mute"],
};
const GOES = ["archive", "restore", "wake", "snooze"]; // these take a row out of the view
const tabs = typeof BroadcastChannel === "function" ? new BroadcastChannel("inbox") : undefined;

const zone = document.documentElement.dataset.timeZone ?? Intl.DateTimeFormat().resolvedOptions().timeZone;
const say = (detail) => document.dispatchEvent(new CustomEvent("message", { detail }));

// Show what an act does; return what shows it undone, and says whether all places were there still.
function show(verb, chosen) {
  const before = chosen.map((row) => [row, "unread" in row.dataset]);
  let back = [];
  if (verb === "read" || verb === "unread") for (const row of chosen) setRead(row, verb === "read");
  else if (GOES.includes(verb)) back = chosen.map(takeOut);
  settle();
  return () => {
    const places = back.reverse().map((put) => put());
    for (const [row, was] of before) setRead(row, !was);
    settle();
    return places.every(Boolean);
  };
}

// ---- acts ----

// What the server says against it, in words for the reader.
class Refused extends Error {}

async function post(fields, from) {
  const body = new URLSearchParams(new FormData(from));
  if (from === form) for (const name of ["pick", "all"]) body.delete(name); // `fields` name what is meant
  for (const [name, value] of Object.entries({ zone, ...fields })) body.set(name, value);
  const headers = { Accept: "application/json", "X-CSRFToken": $('meta[name="csrf"]').content };
  const response = await fetch(ACT, { method: "POST", headers, body, keepalive: true });
  if (response.status === 422) throw new Refused((await response.json()).detail);
  if (!response.ok) throw new Error(String(response.status));
  return response.json();
}

async function ask(fields, failed, from = form) {
  begin();
  try {
    const answer = await post(fields, from);
    end();
    document.dispatchEvent(new CustomEvent("acted", { detail: answer }));
    return answer;
  } catch (error) {
    end();
    say({ title: failed, ...FAILED, ...(error instanceof Refused && { text: error.message }) });
    goOn();
    throw error;
  }
}

const many = (count) => (count === 1 ? "1 notification" : `${number.format(count)} notifications`);

// Do `verb` to rows: shown at once, with a message that can undo it; shown undone when the server refuses. Of all that
// match only the server knows how many it changes, so that the message waits for it. `from`: the form that asks.
async function act(verb, chosen, fields, { quiet = false, wide = false, from } = {}) {
  const keys = chosen.flatMap((row) => row.dataset.keys.split(","));
  const unshow = show(verb, chosen);
  const [word, icon] = DONE[verb];
  const done = ask(fields ?? { one: `${verb} ${keys.join()}` }, `Not ${word.toLowerCase()}`, from);
  const undo = () => takeBack(done, unshow, keys);
  if (!quiet && !wide) {
    const titled = (count) => (verb === "mute" ? word : `${word} ${many(count)}`);
    const text = chosen.length === 1 ? titleOf(chosen[0]).textContent : "";
    const valid = done.then(({ count, undo }) => ({ title: count ? titled(count) : "Nothing changed", undo }));
    say({ title: titled(keys.length), text, icon, valid, undo });
  }
  try {
    const answer = await done;
    if (!answer.count && GOES.includes(verb)) force(); // what was shown did not happen
    if (wide) say({ title: `${word} ${many(answer.count)}`, icon, undo: answer.undo ? undo : undefined });
    tabs?.postMessage({ verb, keys });
  } catch {
    unshow();
  }
}

async function takeBack(done, unshow, keys) {
  if (!unshow()) force();
  try {
    const { undo } = await done;
    if (!undo) throw new Error("it cannot be undone");
    await ask({ undo }, "Not undone");
    tabs?.postMessage({ verb: "undo", keys });
  } catch {
    force();
    sync();
  }
}

// ---- snooze ----

let snoozed = [];
let snoozedFields;

function openMenu(chosen, from, fields) {
  snoozed = chosen;
  snoozedFields = fields;
  $("[value=monday]", menu).hidden = new Date().getDay() === 0; // it is tomorrow
  $("[value=job]", menu).hidden = Boolean(fields) || !chosen.every((row) => "open" in row.dataset);
  if (from.isConnected) menu.showPopover({ source: from });
}

menu?.addEventListener("click", (event) => {
  const button = event.target.closest("button[name=until]");
  if (!button) return;
  event.preventDefault();
  const at = $("[name=at]", menu);
  if (button.value === "at") {
    at.setCustomValidity(new Date(at.value) > new Date() ? "" : "Choose a time to come.");
    if (!at.reportValidity()) return;
  }
  const fields = { until: button.value };
  if (button.value === "at") fields.at = new Date(at.value).toISOString();
  const keys = snoozed.flatMap((row) => row.dataset.keys.split(","));
  menu.hidePopover();
  const first = snoozed[0] && titleOf(snoozed[0]);
  first?.focus({ preventScroll: true });
  const what = snoozedFields ?? { one: `snooze ${keys.join()}` };
  act("snooze", snoozed, { ...what, ...fields }, { wide: Boolean(snoozedFields) });
});
menu?.addEventListener("input", (event) => event.target.setCustomValidity(""));

// ---- selection and what is done to it ----

let lastPicked;

page?.addEventListener("click", (event) => {
  const box = event.target.closest('input[name="pick"]');
  if (!box) return;
  const boxes = $$('input[name="pick"]', list());
  if (event.shiftKey && lastPicked && boxes.includes(lastPicked)) {
    const [from, to] = [boxes.indexOf(lastPicked), boxes.indexOf(box)].sort((a, b) => a - b);
    for (const one of boxes.slice(from, to + 1)) one.checked = box.checked;
  }
  lastPicked = box;
});

page?.addEventListener("change", ({ target }) => {
  if (target.matches("[data-pick-all]")) for (const box of $$('input[name="pick"]', list())) box.checked = target.checked;
  const fold = target.matches("[data-pick-fold]") && target.closest("li.fold");
  if (fold) for (const box of $$('input[name="pick"]', fold)) box.checked = target.checked;
  countPicked();
});

function bulk(verb, from) {
  const picked = rows().filter((row) => $('input[name="pick"]', row).checked);
  if (!picked.length) return;
  const fields = $("[data-all]").checked ? { verb, all: "1" } : undefined;
  if (verb === "snooze") openMenu(picked, from, fields);
  else act(verb, picked, fields, { wide: Boolean(fields) });
}

form?.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (!button || button.hasAttribute("formaction")) return; // a search, or an act on the job itself
  event.preventDefault();
  if (button.name === "verb") return bulk(button.value, button);
  const [verb, keys] = button.value.split(" ");
  const row = button.closest("li.notice");
  if (verb === "mute") return act("mute", [row], { one: button.value });
  const chosen = row.matches(".fold") ? $$("li.notice", row) : [row];
  if (verb === "snooze") openMenu(chosen, button);
  else act(verb, chosen, { one: `${verb} ${keys}` }, { quiet: verb === "read" || verb === "unread" });
});

// A link that is followed has been read; the request outlives this page.
page?.addEventListener("click", (event) => {
  const snooze = event.target.closest("a[data-do=snooze]");
  if (snooze) {
    event.preventDefault();
    const row = snooze.closest("li.notice");
    openMenu(row.matches(".fold") ? $$("li.notice", row) : [row], snooze);
  }
  const row = event.target.closest("a.title")?.closest("li.notice");
  if (row && "unread" in row.dataset) act("read", [row], undefined, { quiet: true });
});

// "Mark all read" of the page's head: all that is unread, whatever the page shows of it.
$("#read-all")?.addEventListener("submit", (event) => {
  event.preventDefault();
  act("read", rows().filter((row) => "unread" in row.dataset), {}, { wide: true, from: event.target });
});

// ---- what happens elsewhere ----

tabs?.addEventListener("message", ({ data }) => {
  const keys = new Set(data.keys);
  const here = rows().filter((row) => keys.has(row.dataset.keys));
  if (data.verb === "read" || data.verb === "unread") show(data.verb, here);
  sync();
});

if (page) {
  ready();
  for (const name of ["inbox", "acted"]) document.addEventListener(name, sync);
  addEventListener("pageshow", (event) => event.persisted && sync());
}
