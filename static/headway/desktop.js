// The browser channel: what arrives in the inbox while no page of ours is looked at shows as a notification of
// the browser. No push service: a page must be open. What the user chose by type is asked for when it is needed.
// bell.js brings this file where the browser was allowed to show them.

const STREAM = /^user:\d+$/;
const IN_FRONT = "headway-in-front"; // a lock that every page holds, beside others, while it is looked at
const said = new Map(); // id -> when it last said something new, as far as this page knows
let since; // what is older is no news

// Return the unread rows that say something this page has not heard, and remember them.
export function news(rows) {
  const unread = (rows ?? []).filter((row) => row.unread);
  const fresh = unread.filter((row) => Date.parse(row.updated_at) >= since && said.get(row.id) !== row.updated_at);
  for (const row of unread) said.set(row.id, row.updated_at);
  return fresh;
}

async function typesOn() {
  const answer = await fetch("/api/notifications/preferences", { headers: { Accept: "application/json" } });
  if (!answer.ok) return new Set();
  const { preferences } = await answer.json();
  return new Set(preferences.filter((one) => one.channels.browser).map((one) => one.type));
}

function show(row) {
  const note = new Notification(row.title, { body: row.message, tag: `headway-${row.id}-${row.updated_at}` });
  note.onclick = () => {
    window.focus();
    if (row.href) window.location.assign(row.href);
    note.close();
  };
}

// Hold the lock until this page is put away; a browser lets it go with a page that ends.
function holdFront() {
  navigator.locks?.request(IN_FRONT, { mode: "shared" }, () => {
    if (!document.hidden) return new Promise((done) => document.addEventListener("visibilitychange", done, { once: true }));
  });
}

async function isLookedAt() {
  const { held } = await navigator.locks.query();
  return held.some((lock) => lock.name === IN_FRONT);
}

async function heard(rows) {
  const fresh = news(rows);
  if (!fresh.length || Notification.permission !== "granted") return;
  // A page that is looked at says it itself, be it this one or another.
  if (!document.hidden || (await isLookedAt())) return;
  const on = await typesOn();
  for (const row of fresh) if (on.has(row.type)) show(row);
}

const stream = `user:${document.querySelector("[data-user]")?.dataset.user}`;
if (STREAM.test(stream)) {
  since = Date.parse(document.querySelector('meta[name="server-time"]').content);
  // By the address that the page used: another would be a second connection.
  const live = await import(document.querySelector('script[type="module"][src*="/realtime/live."]').src);
  holdFront();
  document.addEventListener("visibilitychange", holdFront);
  // One page of a browser does it, the next when that is closed.
  navigator.locks?.request("headway-desktop", () => {
    live.stayAwake();
    live.follow(stream, ({ data }) => heard(data?.inbox?.newest));
    live.follow("broadcast", ({ data }) => heard(data?.live));
    return new Promise(() => {});
  });
}
