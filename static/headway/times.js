// Times in the reader's zone and words. The server writes each in the zone of the site, for pages without script:
// <time datetime="..Z" data-absolute data-says="ago|clock|day" title="..">. The words are those of ingestion/figures.py.

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const REPAINT_MS = 15000;

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

const dayText = (at) => `${long(at, "weekday")} ${at.getDate()} ${long(at, "month")} ${at.getFullYear()}`;

const WORDS = { ago: agoText, clock: clockText, day: dayText };

function paint(root) {
  const now = new Date(Date.now() + offset);
  for (const element of root.querySelectorAll("time[data-says]")) {
    const at = new Date(element.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    const text = WORDS[element.dataset.says]?.(at, now);
    if (text !== undefined && element.textContent !== text) element.textContent = text;
    const full = fullText(at);
    if (element.title !== full) element.title = full;
  }
  for (const element of root.querySelectorAll("[data-zone]")) {
    element.textContent = Intl.DateTimeFormat().resolvedOptions().timeZone.replaceAll("_", " ");
  }
}

const paintAll = () => paint(document);

paintAll();
setInterval(paintAll, REPAINT_MS);
addEventListener("pageshow", paintAll); // a page that was kept shows old ages
document.addEventListener("htmx:afterSwap", (event) => paint(event.target)); // before the browser draws the new part
