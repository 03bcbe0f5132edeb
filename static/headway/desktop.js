// The browser channel: what arrives in the inbox while no page of ours is looked at shows as a notification of
// the browser. No push service: a page must be open. What the user chose by type is asked for once, when needed.

const SEEN_KEPT = 200;
const seen = new Set(); // "id:version" of what this page knows already
let began = false;
let wanted = null; // a promise of the names of types that are on

function typesOn() {
  wanted ??= fetch("/api/notifications/preferences", { headers: { Accept: "application/json" } })
    .then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error(String(answer.status)))))
    .then((found) => new Set(found.preferences.filter((one) => one.channels.browser).map((one) => one.type)));
  wanted.catch(() => (wanted = null)); // asked again with the next arrival
  return wanted;
}

// Links to other sites go past the page that names them.
const place = (link) => (link.startsWith("/") ? link : `/inbox/leave/?to=${encodeURIComponent(link)}`);

// Show a row; tabs of one browser use the same tag, so it shows once.
function show(row) {
  const note = new Notification(row.title, { body: row.message, tag: `headway-${row.id}-${row.version}` });
  note.onclick = () => {
    window.focus();
    if (row.link) window.location.assign(place(row.link));
    note.close();
  };
}

// Take the inbox part of the user's stream: {unread, newest: [{id, version, type, title, message, link, unread}]}.
export async function arrived(inbox, { visible, granted } = {}) {
  const rows = (inbox?.newest ?? []).filter((row) => !seen.has(`${row.id}:${row.version}`));
  for (const row of rows) seen.add(`${row.id}:${row.version}`);
  for (const old of [...seen].slice(0, Math.max(0, seen.size - SEEN_KEPT))) seen.delete(old);
  if (!began) {
    began = true; // what was there when the page came is no news
    return;
  }
  const fresh = rows.filter((row) => row.unread);
  if (!fresh.length || visible || !granted) return;
  const on = await typesOn();
  for (const row of fresh.filter((one) => on.has(one.type))) show(row);
}

const stream = document.querySelector('[data-live^="user:"]')?.dataset.live;
const script = document.querySelector('script[src*="realtime/live"]')?.src;
if (stream && script && "Notification" in window) {
  // By the address that the page used: another would be a second connection.
  const { follow } = await import(script);
  follow(stream, ({ data }) => {
    if (!data) return;
    const visible = document.visibilityState === "visible";
    arrived(data.inbox, { visible, granted: Notification.permission === "granted" });
  });
}
