// The inbox page beyond its forms and links, all of which work without this file: what is done shows at once and can be
// undone, what arrives waits behind "Show 2 new", and what happens in another tab happens here too.

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

const ACT = "/inbox/act/";
const NEAR_TOP = 8; // px
const FAILED = { text: "The server did not answer. What you see is what is stored.", status: "failed", icon: "fail", stays: true };
const DONE = {
  read: ["Marked as read", "read"], unread: ["Marked as unread", "bell"], archive: ["Archived", "archive"],
  restore: ["Moved to the inbox", "inbox"], wake: ["Moved to the inbox", "inbox"], snooze: ["Snoozed", "snooze"], mute: ["Muted", "mute"],
};
const GOES = ["archive", "restore", "wake", "snooze"]; // these take a row out of the view
const tabs = typeof BroadcastChannel === "function" ? new BroadcastChannel("inbox") : undefined;

const number = new Intl.NumberFormat("en-GB");
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

const page = $("[data-inbox]");
const form = $("#inbox-form");
const menu = $("#snooze");

const list = () => $("#inbox-list");
const rows = () => $$("li.notice:not(.fold)", list());
const titleOf = (row) => $(".title", row);
const say = (detail) => document.dispatchEvent(new CustomEvent("message", { detail }));
const announce = (text) => ($("#announce").textContent = text);

// ---- how rows look ----

function setRead(row, read) {
  if (read) delete row.dataset.unread;
  else row.dataset.unread = "";
  const word = $(":scope > div > .sr[data-word]", row);
  if (word) word.hidden = read;
  const button = $(':scope > .when [data-do="turn"]', row);
  if (!button) return;
  button.value = `${read ? "unread" : "read"} ${row.dataset.keys}`;
  button.setAttribute("aria-label", `Mark as ${read ? "unread" : "read"}: ${titleOf(row).textContent}`);
}

// A fold is unread while one of its rows is; a heading shows while it has rows.
function settle() {
  for (const fold of $$("li.fold", list())) {
    const inner = $$("li.notice", fold);
    fold.hidden = inner.length === 0;
    setRead(fold, !inner.some((row) => "unread" in row.dataset));
  }
  for (const under of $$(":scope > ul", list())) {
    const empty = ![...under.children].some((row) => !row.hidden);
    under.hidden = under.previousElementSibling.hidden = empty;
  }
  countPicked();
}

// Take a row out; return what puts it back where it was.
function takeOut(row) {
  const place = document.createComment("");
  if (row.contains(document.activeElement)) {
    const all = rows();
    const at = all.indexOf(row);
    const next = all[at + 1] ?? all[at - 1];
    (next ? titleOf(next) : $("h1")).focus({ preventScroll: true });
  }
  row.replaceWith(place);
  const box = $("input", row);
  box.checked = false;
  return () => {
    const there = place.isConnected;
    place.replaceWith(row);
    return there;
  };
}

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

let asked = 0; // requests so far
let pending = 0; // those the server has not answered yet

async function ask(fields, failed, from = form) {
  asked += 1;
  pending += 1;
  try {
    const answer = await post(fields, from);
    pending -= 1;
    document.dispatchEvent(new CustomEvent("acted", { detail: answer }));
    return answer;
  } catch (error) {
    pending -= 1;
    say({ title: failed, ...FAILED, ...(error instanceof Refused && { text: error.message }) });
    if (again) sync();
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
    if (!answer.count && GOES.includes(verb)) forced = true; // what was shown did not happen
    if (wide) say({ title: `${word} ${many(answer.count)}`, icon, undo: answer.undo ? undo : undefined });
    tabs?.postMessage({ verb, keys });
  } catch {
    unshow();
  }
}

async function takeBack(done, unshow, keys) {
  forced = !unshow();
  try {
    const { undo } = await done;
    if (!undo) throw new Error("it cannot be undone");
    await ask({ undo }, "Not undone");
    tabs?.postMessage({ verb: "undo", keys });
  } catch {
    forced = true;
    sync();
  }
}

// ---- snooze ----

let snoozed = [];
let snoozedFields;

function openMenu(chosen, from, fields) {
  snoozed = chosen;
  snoozedFields = fields;
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

function match(count) {
  form.dataset.matching = count;
  $("[data-matching-said]").textContent = number.format(count);
  countPicked();
}

function countPicked() {
  const boxes = $$('input[name="pick"]', list());
  const picked = boxes.filter((box) => box.checked);
  const all = $("[data-all]");
  const most = Number(form.dataset.matching);
  const wide = all.checked && picked.length === boxes.length;
  const every = $("[data-pick-all]");
  every.closest("label").hidden = boxes.length === 0;
  every.checked = boxes.length > 0 && picked.length === boxes.length;
  every.indeterminate = picked.length > 0 && !every.checked;
  if (!every.checked) all.checked = false;
  $("[data-wide]").hidden = !(every.checked && most > boxes.length);
  const many = wide ? most : picked.length;
  $("[data-picked]").textContent = picked.length ? `${number.format(many)} selected` : `Select all ${number.format(boxes.length)}`;
  $("[data-bulk]").hidden = picked.length === 0;
  for (const button of $$("[data-bulk] button")) $("[data-n]", button).textContent = picked.length ? ` ${number.format(many)}` : "";
  for (const fold of $$("li.fold", list())) {
    const inner = $$('input[name="pick"]', fold);
    const box = $("[data-pick-fold]", fold);
    box.checked = inner.length > 0 && inner.every((one) => one.checked);
    box.indeterminate = !box.checked && inner.some((one) => one.checked);
  }
}

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

const around = (row) => $$(":scope > div:not(.when) > :not(.title)", row);

// Bring an older row to what the server says of it now, without moving it.
function refresh(row, fresh) {
  setRead(row, !("unread" in fresh.dataset));
  if (row.dataset.stamp === fresh.dataset.stamp) return;
  const [title, theirs] = [titleOf(row), titleOf(fresh)];
  title.textContent = theirs.textContent;
  if (theirs.hasAttribute("href")) title.setAttribute("href", theirs.getAttribute("href"));
  const old = around(row);
  if (old.some((element) => element.contains(document.activeElement))) title.focus({ preventScroll: true });
  for (const element of old) element.remove();
  title.after(...around(fresh).map((element) => element.cloneNode(true)));
  for (const named of $$(":scope > input, .acts > *", fresh)) {
    const same = named.matches("input") ? ":scope > input" : `.acts > [data-do="${named.dataset.do}"]`;
    $(same, row)?.setAttribute("aria-label", named.getAttribute("aria-label"));
  }
  $(":scope > .icon use", row).setAttribute("href", $(":scope > .icon use", fresh).getAttribute("href"));
  row.dataset.status = fresh.dataset.status;
  row.toggleAttribute("data-open", "open" in fresh.dataset);
  row.dataset.stamp = fresh.dataset.stamp;
  row.toggleAttribute("data-unseen", "unseen" in fresh.dataset);
  row.dispatchEvent(new Event("inserted", { bubbles: true }));
}

let fresh; // the page as the server last gave it
let forced = false; // what was taken back has no place in the list any more: the server's list has
let syncing = false;
let again = false;

async function sync() {
  if (pending || syncing) {
    again = true;
    return;
  }
  syncing = true;
  again = false;
  const before = asked;
  try {
    const headers = { "HX-Request": "true", "HX-Target": "inbox" };
    const response = await fetch(location.href, { headers, cache: "no-store" });
    const found = response.ok && new DOMParser().parseFromString(await response.text(), "text/html").getElementById("inbox");
    if (asked !== before) again = true; // it may not know yet what was done meanwhile
    else if (found) take(found);
  } catch {
    // The pill in the top bar says that there is no connection; the next frame asks again.
  }
  syncing = false;
  if (again && !pending) sync();
}

function take(found) {
  fresh = found;
  for (const element of $$("[data-count]", page)) {
    const theirs = $(`[data-count="${CSS.escape(element.dataset.count)}"]`, found);
    element.textContent = theirs?.textContent ?? "0";
    element.hidden = theirs?.hidden ?? true;
  }
  const theirs = new Map($$("li.notice:not(.fold)", found).map((row) => [row.dataset.keys, row]));
  const ours = new Map(rows().map((row) => [row.dataset.keys, row]));
  const last = [...theirs.values()].at(-1)?.dataset.at;
  const whole = !$("[rel=next]", found);
  for (const [key, row] of ours) {
    if (theirs.has(key)) refresh(row, theirs.get(key));
    else if (page.dataset.view === "unread") setRead(row, true); // read elsewhere: it stays where the reader sees it
    else if ((whole || row.dataset.at > last) && !row.matches(":hover, :focus-within")) takeOut(row);
  }
  settle();
  const news = [...theirs].filter(([key, row]) => !ours.has(key) || ours.get(key).dataset.at < row.dataset.at).length;
  // What came after the page was shown is not touched by "all that match", so it is not counted there.
  match(Math.max(0, Number($("#inbox-form", found).dataset.matching) - news));
  offer("before" in Object.fromEntries(new URLSearchParams(location.search)) ? 0 : news);
}

function offer(news) {
  const bar = $("[data-show-new]");
  const busy = $$("input:checked", list()).length || list().matches(":hover, :focus-within") || menu.matches(":popover-open");
  if (forced || (news && scrollY <= NEAR_TOP && !busy)) return showNew();
  const was = bar.hidden;
  bar.hidden = news === 0 && rows().length > 0;
  $("button", bar).textContent = `Show ${number.format(news)} new`;
  if (!news && !rows().length) return showNew(); // the words of an empty view
  if (was && !bar.hidden) announce(`${news} new`);
}

// Put the list as the server last gave it into the page; what was selected stays so.
function showNew() {
  forced = false;
  const picked = new Set($$('input[name="pick"]:checked', list()).map((box) => box.value));
  $("[data-show-new]").hidden = true;
  for (const id of ["inbox-list", "inbox-foot"]) document.getElementById(id).replaceWith($(`#${id}`, fresh));
  const upto = $("[name=upto]", fresh).value;
  for (const field of $$("[name=upto]", page)) field.value = upto; // what is shown now can be acted on
  for (const box of $$('input[name="pick"]', list())) box.checked = picked.has(box.value);
  match(Number($("#inbox-form", fresh).dataset.matching));
  ready();
  page.dispatchEvent(new Event("inserted", { bubbles: true }));
}

$("[data-show-new] button")?.addEventListener("click", () => {
  showNew();
  scrollTo({ top: 0 });
  const first = rows()[0];
  if (first) titleOf(first).focus({ preventScroll: true });
});

function ready() {
  for (const element of $$("[data-scripted]", page)) element.hidden = false;
  settle();
}

if (page) {
  ready();
  for (const name of ["inbox", "acted"]) document.addEventListener(name, sync);
  addEventListener("pageshow", (event) => event.persisted && sync());
}
