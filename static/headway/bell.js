// What the top bar says of the inbox, on every page: the count in bell, menu and title, the dropdown, and a message
// for what arrives. Without this file the bell is a link, and the count is that of the page's loading.

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

const MOST = 99; // above it the bell says 99+
const CATCH_UP_MS = 30_000; // what a frame does not show of the inbox is shown so soon after it
const SKELETON_MS = 150; // nothing is said of loading before, ...
const SKELETON_SHOWN_MS = 300; // ... and then for so long at least
const ICONS = {
  info: ["info", "pulse"], success: ["complete", "done"], warning: ["completed_with_errors", "warn"],
  error: ["failed", "fail"],
};

const link = $("[data-bell-link]");
const button = $("#bell-btn");
const bell = $("#bell");
const place = $("#bell-body");
const number = new Intl.NumberFormat("en-GB");

// ---- the count ----

// On a job's page the title is live.js's.
const isTitled = !$("[data-title]");

function count(unread) {
  for (const element of $$("[data-unread-count]")) {
    element.hidden = !unread;
    element.textContent = element.dataset.unreadCount === "short" && unread > MOST ? `${MOST}+` : number.format(unread);
  }
  for (const element of $$("[data-unread-said]")) {
    element.textContent = unread ? `, ${number.format(unread)} unread` : "";
  }
  if (!isTitled) return;
  const bare = document.title.replace(/^\([\d,]+\) /, "");
  const title = unread ? `(${number.format(unread)}) ${bare}` : bare;
  if (document.title !== title) document.title = title;
}

// ---- what arrives ----

const known = new Map(); // what was unread so far: id -> when it last said something new
const since = Date.parse($('meta[name="server-time"]').content); // what is older is no news, though it be unread again
let unread;

// Say whether the page in front shows what the row is about: it says so where that is not the stream it follows.
function isHere(row) {
  const { about, live } = $("main [data-live][data-title]")?.dataset ?? {};
  return !document.hidden && row.about && row.about === (about ?? live);
}

function tellOf(row) {
  if (document.hidden || isHere(row)) return;
  if ($("#bell:popover-open") || $("[data-inbox]")) return; // it is on the screen, or a button there says so
  const [status, icon] = ICONS[row.level] ?? ICONS.info;
  const stays = row.level === "error" || row.level === "warning";
  const detail = { title: row.title, text: row.message, status, icon, href: row.href, stays, news: true };
  document.dispatchEvent(new CustomEvent("message", { detail }));
}

// What was said while its page was in front has been seen.
function readHere(rows) {
  const seen = rows.filter((row) => row.unread && isHere(row)).map((row) => row.id);
  if (seen.length) post("/inbox/act/", { one: `read ${seen.join()}` }).catch(() => {});
}

// The user's own rows, and what everybody is told: one stream for all, so each page counts what of it is new to them.
const held = {};

let upTo = 0; // where the user's stream stood with the last answer to an act
let heardTo = 0; // ... and with the last frame
let epoch;

// Say whether a frame was made before something that this page was answered since.
function isOld(state) {
  if (epoch && state.epoch !== epoch) upTo = heardTo = 0; // a restore counts anew
  epoch = state.epoch;
  if (state.version < upTo) return true;
  heardTo = state.version ?? heardTo;
  return false;
}

function acted({ detail }) {
  if (detail.version < heardTo) return; // a frame that overtook the answer has said more
  upTo = Math.max(upTo, detail.version);
  count(detail.unread);
}

function heard(name, { data, gone }) {
  held[name] = gone ? {} : data;
  if (!held.own?.inbox || !held.all) return;
  const { newest, done_with: done, unread: own } = held.own.inbox;
  const joined = Date.parse(button.dataset.joined);
  const shared = (held.all.live ?? []).filter((row) => Date.parse(row.created_at) >= joined && !done.includes(row.id));
  const rows = [...newest, ...shared].filter((row) => row.unread);
  const news = rows.filter((row) => Date.parse(row.updated_at) >= since && !(known.get(row.id) >= row.updated_at));
  for (const row of rows) known.set(row.id, row.updated_at);
  // The first frame says what the page was loaded with.
  const moved = (unread ?? own + shared.length) !== own + shared.length || news.length > 0;
  unread = own + shared.length;
  count(unread);
  readHere(newest);
  news.sort((a, b) => (a.updated_at < b.updated_at ? -1 : 1)).forEach(tellOf);
  if ($("#bell:popover-open") && moved) refresh();
  tellInbox(JSON.stringify([held.own.inbox, shared]));
}

let said; // what the last frame said of the inbox
let later; // the timer of a look at what no frame says

// The stream moves with the user's jobs too, many times a second, and a page of the inbox is dear. What the frame does
// not hold (an old row that was archived on another machine) moves it as little as a job does, and can wait.
function tellInbox(says) {
  const tell = () => {
    clearTimeout(later);
    later = undefined;
    document.dispatchEvent(new CustomEvent("inbox"));
  };
  if (says !== said) tell();
  else later ??= setTimeout(tell, CATCH_UP_MS);
  said = says;
}

// ---- requests ----

function post(url, fields) {
  const body = new URLSearchParams(fields);
  const headers = { Accept: "application/json", "X-CSRFToken": $('meta[name="csrf"]').content };
  return fetch(url, { method: "POST", headers, body, keepalive: true });
}

// Return the element of a page's part with this id. The HTML is the server's, as it is in a page.
async function part(url, id) {
  const headers = { "HX-Request": "true", "HX-Target": id };
  const response = await fetch(url, { headers, cache: "no-store" });
  const found = response.ok && new DOMParser().parseFromString(await response.text(), "text/html").getElementById(id);
  if (!found) throw new Error(`no ${id} in ${url}`);
  return found;
}

// ---- the dropdown ----

let asked = 0;
let released; // live.js's: a promise of the moment when no pointer is pressed

function put(...content) {
  place.replaceChildren(...content);
  place.dispatchEvent(new Event("inserted", { bubbles: true }));
}

const copyOf = (id) => document.getElementById(id).content.cloneNode(true);

// careful: unless somebody came to what is shown while it was asked for
async function load(careful = false) {
  const mine = ++asked;
  let skeletonAt;
  const waiting = setTimeout(() => {
    if (mine !== asked || $(".notice", place)) return;
    skeletonAt = performance.now();
    put(copyOf("bell-loading"));
    place.setAttribute("aria-busy", "true");
  }, SKELETON_MS);
  let found, upto;
  try {
    const body = await part("/inbox/bell/", "bell-body");
    found = [...body.childNodes];
    upto = body.dataset.upto;
  } catch {
    found = [copyOf("bell-error")];
  }
  clearTimeout(waiting);
  const left = skeletonAt === undefined ? 0 : skeletonAt + SKELETON_SHOWN_MS - performance.now();
  if (left > 0) await new Promise((done) => setTimeout(done, left));
  await released?.();
  if (mine !== asked) return;
  place.removeAttribute("aria-busy");
  if (careful && isBusy() && $(".notice", place)) return offerNews();
  put(...found);
  if (upto) shownUpTo(upto);
}

// "Mark all read" means what has been shown, and nothing that came since.
function shownUpTo(upto) {
  $("[name=upto]", bell).value = upto;
  $("form button", bell).disabled = false;
}

const isBusy = () => Boolean($("#bell-body:hover, #bell-body:focus-within"));

function offerNews() {
  $("[data-bell-new]").hidden = false;
}

// Nothing moves under the pointer or the focus: then the news wait behind a button.
function refresh() {
  $("[data-bell-new]").hidden = true;
  if (isBusy()) offerNews();
  else load(true);
}

function opened({ newState }) {
  asked += 1;
  $("[data-bell-new]").hidden = true;
  place.replaceChildren(); // never what was true the last time
  if (newState !== "open") return;
  for (const toast of $$("#toasts [data-news]")) toast.remove(); // the dropdown says it
  load();
}

function clicked(event) {
  const { target } = event;
  if (target.closest("[data-bell-again], [data-bell-new]")) {
    $("[data-bell-new]").hidden = true;
    load();
  }
  const row = target.closest("#bell .notice");
  if (row && target.closest("a.title") && "unread" in row.dataset) {
    post("/inbox/act/", { one: `read ${row.dataset.keys}` }).catch(() => {}); // the page that opens shows it unread
  }
}

async function readAll(event) {
  event.preventDefault();
  const rows = $$(".notice[data-unread]", bell);
  const before = unread;
  for (const row of rows) delete row.dataset.unread;
  count(0);
  try {
    const response = await post("/inbox/act/", Object.fromEntries(new FormData(event.target)));
    if (!response.ok) throw new Error(String(response.status));
    const answer = await response.json();
    document.dispatchEvent(new CustomEvent("acted", { detail: answer }));
  } catch {
    for (const row of rows) row.dataset.unread = "";
    count(before ?? rows.length);
    const detail = { title: "Not marked as read", text: "The server did not answer. Try again.", status: "failed", icon: "fail", stays: true };
    document.dispatchEvent(new CustomEvent("message", { detail }));
  }
}

// What tells outside of the page comes to those who allowed it alone.
function tellOutside() {
  if ("Notification" in window && Notification.permission === "granted") import(button.dataset.desktop);
}

async function begin() {
  if (!button) return;
  tellOutside();
  document.addEventListener("notifications-allowed", tellOutside);
  // Another page may be where it was allowed.
  navigator.permissions?.query({ name: "notifications" }).then((said) => said.addEventListener("change", tellOutside));
  link.hidden = true;
  button.hidden = false;
  bell.addEventListener("toggle", opened);
  bell.addEventListener("click", clicked);
  document.addEventListener("acted", acted);
  $("form", bell).addEventListener("submit", readAll);
  // The very live.js of the page, whose address may carry a hash: under another it would connect twice.
  const { follow, released: release } = await import($('script[type="module"][src*="/realtime/live."]').src);
  released = release;
  follow(`user:${button.dataset.user}`, (state) => state.lost || isOld(state) || heard("own", state));
  follow("broadcast", (state) => state.lost || heard("all", state));
}

begin();
