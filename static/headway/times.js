// Times in the reader's zone and words. The server writes each in the zone of the site, for pages without script:
// <time datetime="..Z" data-says=".." title="..">. The words are those of ingestion/figures.py and notifications/days.py.

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const REPAINT_MS = 15000;
const HOUR = 3600000;
// Chosen for the account: then the server writes all times in it, and only young ages change here.
const zone = document.documentElement.dataset.timeZone;

// Ages are by the server's clock: the reader's may be wrong.
const stamp = Date.parse(document.querySelector('meta[name="server-time"]')?.content);
const offset = Number.isNaN(stamp) ? 0 : stamp - Date.now();

const two = (number) => String(number).padStart(2, "0");
const clock = (at) => `${two(at.getHours())}:${two(at.getMinutes())}`;
const long = (at, part) => at.toLocaleDateString("en-GB", { [part]: "long" });
const day = (at) => `${at.getDate()} ${MONTHS[at.getMonth()]}`;
const midnight = (at, days = 0) => new Date(at.getFullYear(), at.getMonth(), at.getDate() + days);

// Say how long ago a moment was; undefined for the future, which the server words.
export function agoText(at, now) {
  const seconds = Math.floor((now - at) / 1000);
  if (seconds < 0) return undefined;
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  if (at >= midnight(now, -1)) return "Yesterday";
  return at.getFullYear() === now.getFullYear() ? day(at) : `${day(at)} ${at.getFullYear()}`;
}

// Say the time of the day, with the date when it was not today.
export function clockText(at, now) {
  const today = midnight(at).getTime() === midnight(now).getTime();
  return today ? `${clock(at)}:${two(at.getSeconds())}` : `${day(at)} ${clock(at)}`;
}

// Say all of it: 22 November 2026, 09:29:13 UTC+05:45.
export function fullText(at) {
  const east = -at.getTimezoneOffset();
  const away = Math.abs(east);
  const zone = east ? `${east < 0 ? "-" : "+"}${two(Math.floor(away / 60))}:${two(away % 60)}` : "";
  return `${at.getDate()} ${long(at, "month")} ${at.getFullYear()}, ${clock(at)}:${two(at.getSeconds())} UTC${zone}`;
}

// ---- an inbox ----

const daysBetween = (from, to) => Math.round((midnight(to) - midnight(from)) / 86400000);
const sinceMonday = (at) => (at.getDay() + 6) % 7;
const date = (at, now) => (at.getFullYear() === now.getFullYear() ? day(at) : `${day(at)} ${at.getFullYear()}`);

// Name the heading under which a row stands.
export function groupText(at, now) {
  const days = daysBetween(at, now);
  if (days <= 0) return "Today";
  if (days === 1) return "Yesterday";
  if (days <= sinceMonday(now)) return "Earlier this week";
  return at.getFullYear() === now.getFullYear() ? long(at, "month") : `${long(at, "month")} ${at.getFullYear()}`;
}

// Say when something came: an age today, a clock after that, at last a date.
export function rowText(at, now) {
  const days = daysBetween(at, now);
  const seconds = Math.max(0, Math.floor((now - at) / 1000));
  if (days <= 0 && seconds < 60) return `${seconds} s`;
  if (days <= 0) return seconds < 3600 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`;
  if (days === 1) return clock(at);
  return days <= sinceMonday(now) ? `${long(at, "weekday").slice(0, 3)} ${clock(at)}` : date(at, now);
}

// Say when something put off comes back.
export function untilText(at, now) {
  const days = daysBetween(now, at);
  if (days <= 0) return clock(at);
  return `${days === 1 ? "tomorrow" : days < 7 ? long(at, "weekday") : date(at, now)} ${clock(at)}`;
}

// Say since when something was put off.
export function sinceText(at, now) {
  const days = daysBetween(at, now);
  if (days <= 0) return clock(at);
  return days === 1 ? "yesterday" : days < 7 ? long(at, "weekday") : date(at, now);
}

// Give the rows of an inbox the headings of the reader's days, where those of the site differ.
function regroup(list) {
  if (zone) return;
  const now = new Date(Date.now() + offset);
  const rows = [...list.querySelectorAll(":scope > ul > li")];
  const named = rows.map((row) => groupText(new Date(row.dataset.at), now));
  const shown = rows.map((row) => row.parentElement.previousElementSibling.textContent);
  if (named.every((name, n) => name === shown[n])) return;
  const parts = [];
  let under;
  rows.forEach((row, n) => {
    if (named[n] !== named[n - 1]) {
      const heading = document.createElement("h2");
      heading.className = "group";
      heading.textContent = named[n];
      under = document.createElement("ul");
      under.setAttribute("role", "list");
      parts.push(heading, under);
    }
    under.append(row);
  });
  list.replaceChildren(...parts);
}

const dayText = (at) => `${long(at, "weekday")} ${at.getDate()} ${long(at, "month")} ${at.getFullYear()}`;

const WORDS = {
  ago: agoText, clock: clockText, day: dayText, row: rowText, until: untilText, since: sinceText,
};

function paint(root) {
  const now = new Date(Date.now() + offset);
  for (const element of root.querySelectorAll("time[data-says]")) {
    const at = new Date(element.dateTime);
    const { says } = element.dataset;
    if (Number.isNaN(at.getTime()) || (zone && (now - at > HOUR || !/ago|row/.test(says)))) continue;
    const text = WORDS[says]?.(at, now);
    if (text !== undefined && element.textContent !== text) element.textContent = text;
    const full = zone ? element.title : fullText(at);
    if (element.title !== full) element.title = full;
  }
  for (const element of root.querySelectorAll("[data-zone]")) {
    element.textContent = (zone ?? Intl.DateTimeFormat().resolvedOptions().timeZone).replaceAll("_", " ");
  }
}

const paintAll = () => paint(document);

paintAll();
setInterval(paintAll, REPAINT_MS);
addEventListener("pageshow", paintAll); // a page that was kept shows old ages
for (const list of document.querySelectorAll("[data-days]")) regroup(list);
document.addEventListener("inserted", (event) => {
  for (const list of event.target.querySelectorAll("[data-days]")) regroup(list);
  paint(event.target);
});
document.addEventListener("htmx:afterSwap", (event) => paint(event.target)); // before the browser draws the new part
