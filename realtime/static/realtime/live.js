// The page's end of the live wire. PROTOCOL.md has the messages, the client's rules and the markup.
// No HTML is made here: figures are written as text and attributes, structure is fetched from the server.

const PAINT_MS = 250; // a figure is painted this often at most
const PILL_MS = 1000; // without a connection for so long, the pill says so, ...
const BANNER_MS = 3000; // ... and for so long the banner
const QUIET_SECONDS = 30; // a running job whose stream has not moved for so long is said to stand still
const REFETCH_MS = 2000; // a fragment is fetched this often at most
const FIRST_WAIT_MS = 500; // reconnect: a random time up to this, doubling ...
const SHORT_WAIT_MS = 5000; // ... to this: a server that is replaced is back soon, ...
const REPLACED_MS = 60000; // ... and after so long without one ...
const LONGEST_WAIT_MS = 30000; // ... to this, for ever
const OPEN_MS = 10000; // a socket that has not said welcome by then is given up; without one for so long, we poll
const SOCKET_AGAIN_MS = 60000; // while polling, the socket is tried this often
const POLL_SECONDS = 5; // while polling, the server is heard this often at least, ...
const POLL_MS = 1000; // ... asked this often at most, ...
const POLL_HIDDEN_MS = 30000; // ... and by a hidden page this often
const POLL_CROWDED_MS = 2000; // a page without a seat asks this often
const SEATS = 3; // pages of one browser that wait for answers at a time: it opens six connections to a server
const ANSWER_MS = 2000; // a doubted socket must answer by then
const SLEPT_MS = 5000; // a second that took so long was a machine asleep
const HIDDEN_MS = 5 * 60000; // a page hidden for so long lets go of its socket
const ACK_MS = 1000; // what arrived is acknowledged this often, ...
const ACK_BUSY_MS = 250; // ... or this often once so many frames came:
const ACK_FRAMES = 16;
const ANNOUNCE_MS = 15000;
const CHUNK = 50; // streams a frame or request
const MOST = 100; // streams a socket

// ---------------------------------------------------------------- the reducer, the same as realtime/reducer.py

export function patched(data, patch) {
  if (patch === null || typeof patch !== "object" || Array.isArray(patch)) return patch;
  const result = data !== null && typeof data === "object" && !Array.isArray(data) ? { ...data } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = patched(result[key], value);
  }
  return result;
}

export class Reducer {
  constructor() {
    this.streams = new Map(); // name -> {epoch, version, data, events, over, gone, waiting}
    this.moved = new Set(); // names of streams that a frame changed; whoever shows them empties it
    this.generation = 0; // how often an epoch changed, the first included
    this.request = 0;
  }

  // Return the frame's fields for asking for these streams, resuming from what we hold.
  ask(names) {
    const id = ++this.request;
    this.want(names);
    const streams = names.map((name) => {
      const held = this.streams.get(name);
      held.waiting = id;
      return held.data ? { stream: name, epoch: held.epoch, version: held.version } : name;
    });
    return { id, streams };
  }

  // Take frames of these streams though no subscribe was sent: they come over HTTP.
  want(names) {
    for (const name of names) if (!this.streams.has(name)) this.streams.set(name, { over: false, events: [] });
  }

  // Wait for no answer any more: the connection that would bring it is gone.
  lost() {
    for (const held of this.streams.values()) held.waiting = undefined;
  }

  forget(name) {
    this.streams.delete(name);
  }

  // Return where we stand in these streams, as a request over HTTP says it: `<epoch>~<stream>=<version>,...`.
  cursor(names) {
    const held = names.map((name) => [name, this.streams.get(name)]).filter(([, one]) => one?.data);
    const epoch = held.at(-1)?.[1].epoch;
    const places = held.filter(([, one]) => one.epoch === epoch);
    const name = (text) => encodeURIComponent(text).replace(/%3A/g, ":").replace(/%40/g, "@");
    return places.length ? `${epoch}~${places.map(([key, one]) => `${name(key)}=${one.version}`).join()}` : "";
  }

  // Return what another tab may take of a stream.
  shared(name) {
    const { epoch, version, data, events } = this.streams.get(name);
    return { type: "state", why: "tab", stream: name, epoch, version, data, events };
  }

  // Take an answer over HTTP, with the generation that stood when it was asked for: an older one may show what was
  // before a restore. Return the streams to subscribe to again on the socket, if there is one.
  answer(generation, frames) {
    if (generation !== this.generation) return [];
    return frames.flatMap((frame) => {
      const held = this.streams.get(frame.stream);
      const epoch = held?.epoch;
      const again = this.take(frame);
      // The socket's frames under way may still be of the old epoch.
      return epoch !== undefined && held.epoch !== epoch && !held.over ? [...again, frame.stream] : again;
    });
  }

  // Take a frame. Return the streams to subscribe to again.
  take(frame) {
    if (frame.type === "beat") return this._behind(frame.versions);
    const held = this.streams.get(frame.stream);
    if (!held || held.over) return [];
    if (held.waiting !== undefined) {
      if (frame.id !== held.waiting) return [];
      held.waiting = undefined;
    }
    if (frame.type === "change") return this._change(held, frame);
    if (frame.type === "gone") {
      held.over = held.gone = true;
      this.moved.add(frame.stream);
    } else {
      this._whole(held, frame);
    }
    return [];
  }

  _change(held, frame) {
    const known = held.data && held.epoch === frame.epoch;
    if (known && frame.version <= held.version) return [];
    if (!known || frame.from !== held.version) return [frame.stream];
    held.data = patched(held.data, frame.data);
    this._append(held, frame);
    held.version = frame.version;
    this.moved.add(frame.stream);
    return [];
  }

  _whole(held, frame) {
    const same = held.epoch === frame.epoch;
    if (same && held.version > frame.version) return;
    // Another tab may be the one that is late.
    if (frame.why === "tab" && (!same || held.version === frame.version)) return;
    if (frame.type === "end") held.over = true;
    else if (frame.why === "behind" && same) this._append(held, frame); // only those since the cursor that we sent
    else held.events = frame.events;
    if (!same) this.generation += 1;
    held.epoch = frame.epoch;
    held.version = frame.version;
    held.data = frame.data;
    this.moved.add(frame.stream);
  }

  _append(held, frame) {
    const news = frame.events.filter((event) => event.version > held.version);
    held.events = held.events.concat(news).slice(-500);
  }

  // Return the streams of a beat that are ahead of us.
  _behind(versions) {
    return Object.keys(versions).filter((name) => {
      const held = this.streams.get(name);
      return held && !held.over && held.waiting === undefined && versions[name] > (held.version ?? -1);
    });
  }
}

// ---------------------------------------------------------------- figures

const whole = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 1 });

function rateText(rate) {
  if (!rate || rate <= 0) return "";
  if (rate < 1) return `1 every ${Math.round(1 / rate)} min`;
  return rate < 10 ? `${rate.toFixed(1)}/min` : `${whole.format(Math.round(rate))}/min`;
}

function etaText(seconds) {
  if (seconds === undefined || seconds === null) return "";
  if (seconds < 60) return `about ${Math.max(10, Math.ceil(seconds / 10) * 10)} s left`;
  const minutes = seconds / 60;
  return `about ${whole.format(minutes < 10 ? Math.ceil(minutes) : Math.ceil(minutes / 5) * 5)} min left`;
}

function percentOf(data) {
  return Math.floor((data.progress ?? 0) * 100 + 1e-9);
}

const COMPUTED = {
  percent: (data) => `${percentOf(data)}%`,
  rate: (data) => rateText(data.rate),
  eta: (data) => etaText(data.eta_seconds),
  "items.processed": ({ items = {} }) => (items.done ?? 0) + (items.failed ?? 0) + (items.skipped ?? 0),
  "items.left": ({ items = {} }) =>
    Math.max(0, (items.total ?? 0) - (items.done ?? 0) - (items.failed ?? 0) - (items.skipped ?? 0)),
};

function valueOf(data, name) {
  if (COMPUTED[name]) return COMPUTED[name](data);
  return name.split(".").reduce((value, key) => value?.[key], data);
}

function textOf(value) {
  if (value === undefined || value === null) return "";
  return typeof value === "number" ? whole.format(value) : String(value);
}

const share = (value) => `${(Math.min(1, Math.max(0, value || 0)) * 100).toFixed(1)}%`;

function paintBar(element, data, part) {
  const { done = 0, failed = 0, skipped = 0 } = data.items ?? {};
  const ended = done + failed + skipped;
  const progress = data.progress ?? 0;
  const bad = ended ? (progress * failed) / ended : 0;
  element.setAttribute("x", part === "failed" ? share(progress - bad) : "0%");
  element.setAttribute("width", part === "failed" ? share(bad) : share(progress - bad));
}

// What the page says of each status: {status: [icon, word, spins]}.
const words = {};

function paintBadge(element, status) {
  if (element.dataset.status === status || !words[status]) return;
  const [icon, word, spins] = words[status];
  element.dataset.status = status;
  element.querySelector("svg")?.classList.toggle("spin", spins);
  element.querySelector("use")?.setAttribute("href", `#i-${icon}`);
  element.lastChild.textContent = word;
}

function paintField(element, data) {
  const name = element.dataset.field;
  if (name === "bar") {
    element.setAttribute("aria-valuenow", String(percentOf(data)));
    const total = data.items?.total;
    const spoken = [total ? `${textOf(valueOf(data, "items.processed"))} of ${textOf(total)}` : `${percentOf(data)}%`];
    if (data.items?.failed) spoken.push(`${textOf(data.items.failed)} failed`);
    if (data.eta_seconds) spoken.push(etaText(data.eta_seconds));
    element.setAttribute("aria-valuetext", spoken.join(", "));
  } else if (name === "bar.done" || name === "bar.failed") {
    paintBar(element, data, name.slice(4));
  } else if (name === "display") {
    paintBadge(element, data.display);
  } else if (name.startsWith("steps.") && name.endsWith(".bar")) {
    const step = data.steps?.[name.slice(6, -4)] ?? {};
    element.setAttribute("width", share(step.total ? step.done / step.total : 0));
  } else {
    const text = textOf(valueOf(data, name));
    if (element.textContent !== text) element.textContent = text;
  }
}

// Everything but figures: when this differs, the fragment is fetched again.
function structureOf(held, withItems) {
  const figures = ["version", "progress", "rate", "eta_seconds", "message", "items_total", "items_done", "items_failed"];
  if (!withItems) figures.push("items");
  const rest = Object.entries(held.data).filter(([key]) => !figures.includes(key)).map(([key, value]) => {
    if (key !== "steps") return [key, value];
    const steps = Object.entries(value).map(([name, step]) => [name, { ...step, done: undefined, total: undefined }]);
    return [key, steps.sort()];
  });
  return JSON.stringify([held.gone, held.events?.at(-1)?.version, rest.sort()]);
}

// ---------------------------------------------------------------- the page

const reducer = new Reducer();
const shapes = new WeakMap(); // element -> the structure it shows
const fetched = new Map(); // element id -> when its fragment was last fetched
const asked = new Map(); // element id -> when it was last asked for, because no stream tells of it
const failures = new Map(); // element id -> fetches in a row that brought nothing
const dirty = new Set(); // streams to paint
const movedAt = new Map(); // stream -> when a frame last changed it, on the monotonic clock
const followers = new Map(); // stream -> functions to call when it moved
let paintTimer;
let paintedAt = -Infinity;
let clockOffset = 0; // the server's clock less ours, in ms

const elementsOf = (stream) =>
  [...document.querySelectorAll("[data-live]")].filter((element) => element.dataset.live === stream);

// The first change is painted at once, those after it together.
function paintSoon(stream) {
  dirty.add(stream);
  paintTimer ??= setTimeout(() => {
    paintTimer = undefined;
    paintedAt = performance.now();
    const names = [...dirty];
    dirty.clear();
    for (const name of names) paint(name);
  }, Math.max(0, paintedAt + PAINT_MS - performance.now()));
}

function hear(stream, listeners = followers.get(stream) ?? []) {
  const held = reducer.streams.get(stream);
  for (const listener of listeners) if (held?.data || held?.gone || !here) listener({ ...held, lost: !here });
}

function paint(stream) {
  const held = reducer.streams.get(stream);
  if (held) hear(stream);
  if (!held?.data) return;
  for (const root of elementsOf(stream)) {
    const own = (selector) => [...root.querySelectorAll(selector)].filter((e) => e.closest("[data-live]") === root);
    // A badge tells time too: what the server wrote at this version stands.
    const newer = held.version > Number(root.dataset.version ?? -1);
    const fields = newer ? "[data-field]" : '[data-field]:not([data-field="display"])';
    for (const element of own(fields)) paintField(element, held.data);
    for (const element of own("[data-when]")) {
      const value = valueOf(held.data, element.dataset.when);
      element.hidden = !value;
    }
    if (root.dataset.title) tell(root, held);
    restructure(root, held);
  }
}

function restructure(root, held) {
  if (!root.dataset.fragment || document.hidden) return; // a hidden page fetches when it is shown
  const shape = structureOf(held, root.dataset.refetch === "items");
  const shown = shapes.get(root);
  if (held.gone) return; // there is nothing to fetch
  if (shown === undefined) {
    // What the server painted: its version says whether it is what we hold.
    if (Number(root.dataset.version ?? Infinity) >= held.version) {
      shapes.set(root, shape);
      return;
    }
  } else if (shown === shape) {
    return;
  }
  refetch(root);
}

// Fetch a fragment anew, now or as soon as it may be; whoever listens on the page can keep it from that.
export function refetch(root) {
  if (!root.dispatchEvent(new CustomEvent("refetch", { bubbles: true, cancelable: true }))) return;
  const key = root.id || root.dataset.live;
  const pause = REFETCH_MS * 2 ** Math.min(failures.get(key) ?? 0, 4);
  const wait = (fetched.get(key) ?? -Infinity) + pause - performance.now();
  if (wait > 0) {
    if (!root.dataset.due) {
      root.dataset.due = "1";
      setTimeout(() => {
        delete root.dataset.due;
        if (root.isConnected) paint(root.dataset.live);
      }, wait);
    }
    return;
  }
  fetched.set(key, performance.now());
  const held = reducer.streams.get(root.dataset.live);
  const shape = held?.data && structureOf(held, root.dataset.refetch === "items");
  const version = held?.version;
  const select = root.id ? `#${CSS.escape(root.id)}` : undefined;
  fetching.add(root);
  const swapped = window.htmx?.ajax("GET", root.dataset.fragment, { target: root, swap: "outerHTML", select });
  const done = () => {
    const now = root.id ? document.getElementById(root.id) : root;
    fetching.delete(root);
    if (putOff.delete(root)) {
      fetched.delete(key);
      released().then(() => root.isConnected && refetch(root)); // also where no frame asked for it
      return;
    }
    if (now && now === root) {
      // Nothing came (an error, the server away): what is shown is still old, so look again, later and later.
      failures.set(key, (failures.get(key) ?? 0) + 1);
    } else {
      failures.delete(key);
      if (now && Number(now.dataset.version ?? Infinity) >= version) shapes.set(now, shape);
    }
    watch();
    if (now?.dataset.live) paint(now.dataset.live); // at once: the fragment may be older than what was shown
  };
  swapped?.then(done, done);
}

// ---- nothing is replaced while the pointer is pressed on it: the click would be lost ----

const fetching = new Set(); // elements whose fragment was asked for
const putOff = new Set(); // those whose fragment came while the pointer was pressed in them
const PRESSED_MS = 5000; // a list of the browser's own swallows the end of a press
let pressed; // what the pointer is pressed on
let pressTimer;
let releaseTimer;
const onRelease = [];

// Return a promise of the moment when no pointer is pressed.
export const released = () => (pressed ? new Promise((resolve) => onRelease.push(resolve)) : Promise.resolve());

function press({ target }) {
  pressed = target;
  clearTimeout(releaseTimer);
  clearTimeout(pressTimer);
  pressTimer = setTimeout(release, PRESSED_MS);
}

function release() {
  clearTimeout(pressTimer);
  clearTimeout(releaseTimer);
  releaseTimer = setTimeout(() => { // after the click
    pressed = undefined;
    for (const resolve of onRelease.splice(0)) resolve();
  });
}

// What the reader's own act asked for is swapped. What asks by itself from time to time does so again.
function beforeSwap({ detail }) {
  if (!detail.shouldSwap || detail.requestConfig?.triggeringEvent) return;
  if (!pressed || !detail.target.contains(pressed)) return;
  detail.shouldSwap = false;
  if (fetching.has(detail.target)) putOff.add(detail.target);
}

// What no stream tells of is asked for every `data-every` ms while it can be seen; `data-tag` names what is shown.
function askForTheRest() {
  if (document.hidden) return;
  for (const root of document.querySelectorAll("[data-every]")) {
    if (performance.now() - (asked.get(root.id) ?? 0) < Number(root.dataset.every)) continue;
    asked.set(root.id, performance.now());
    const headers = { "If-None-Match": `"${root.dataset.tag}"` };
    const select = `#${CSS.escape(root.id)}`;
    const answer = window.htmx?.ajax("GET", root.dataset.fragment, { target: root, swap: "outerHTML", select, headers });
    answer?.catch(() => {}); // asked again soon
  }
}

// ---------------------------------------------------------------- title and announcements

let announcedAt = -Infinity;
let announcedShare;

function announce(text) {
  const place = document.getElementById("announce");
  if (place) place.textContent = text;
  announcedAt = performance.now();
}

function tell(root, held) {
  const { data } = held;
  const name = root.dataset.title;
  const percent = percentOf(data);
  const mark = { completed: "✓ ", partial: "✗ ", failed: "✗ ", cancelled: "✗ " }[data.state];
  const title = mark ? mark + name : data.state === "running" ? `${percent}% ${name}` : name;
  if (document.title !== title) document.title = title;
  const quarter = Math.floor(percent / 25);
  if (announcedShare === undefined) {
    announcedShare = mark ? "end" : quarter;
  } else if (mark && announcedShare !== "end") {
    announcedShare = "end";
    announce(data.error?.text ?? data.message ?? `Finished: ${data.display}`);
  } else if (!mark && quarter > announcedShare && performance.now() - announcedAt >= ANNOUNCE_MS) {
    announcedShare = quarter;
    announce(`${quarter * 25}%`);
  }
}

// ---------------------------------------------------------------- times

const two = (number) => String(number).padStart(2, "0");

function elapsedText(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

function tick() {
  const now = Date.now() + clockOffset;
  for (const element of document.querySelectorAll("[data-since]:not([data-until])")) {
    const since = Date.parse(element.dataset.since);
    if (!Number.isNaN(since)) element.textContent = elapsedText(now - since);
  }
  if (live || polling) sayWhatStandsStill();
}

// An estimate that no longer moves would be a lie (UX 3.2).
function sayWhatStandsStill() {
  for (const [stream, at] of movedAt) {
    const quiet = Math.floor((performance.now() - at) / 1000);
    if (quiet < QUIET_SECONDS || reducer.streams.get(stream)?.data?.state !== "running") continue;
    const text = quiet < 60 ? `no progress for ${quiet} s` : `no progress for ${Math.floor(quiet / 60)} min`;
    for (const root of elementsOf(stream)) {
      for (const element of root.querySelectorAll('[data-field="eta"]')) element.textContent = text;
    }
  }
}

// ---------------------------------------------------------------- what the page says about its connection

const SIGNED_OUT = "You were signed out. Sign in to continue.";
const STOPPED = {
  4400: "This page is out of date. Reload it.",
  4401: SIGNED_OUT,
  4403: "Live updates are not available. Reload the page.",
  4404: "Live updates are not available here.",
  4409: "Live updates moved to a newer tab. Reload this page to bring them back.",
  4426: "Reload to get the new version.",
};

let lostAt; // since when there is no connection, on performance.now()
let toldLost = false;
let stopped = ""; // why we do not reconnect, in a sentence
let stale = false;

const away = () => (lostAt === undefined ? 0 : performance.now() - lostAt);

function connectionNow() {
  if (stopped) return [stopped === SIGNED_OUT ? "signed-out" : "stopped", "Not live"];
  if (!navigator.onLine) return ["offline", "Offline"];
  if (away() >= PILL_MS) return ["reconnecting", `Reconnecting, ${Math.round(away() / 1000)} s`];
  if (!everLive) return ["connecting", "Connecting"];
  if (stale) return [polling ? "polling" : "live", "Updates delayed"];
  return polling ? ["polling", document.hidden ? "Every 30 s" : `Every ${POLL_SECONDS} s`] : ["live", "Live"];
}

const isHere = (status) => ["live", "polling", "connecting"].includes(status);
let here = true;

function showConnection() {
  const [status, text] = connectionNow();
  if (here !== isHere(status)) {
    here = !here;
    for (const name of followers.keys()) hear(name);
  }
  const pill = document.getElementById("conn");
  if (pill) {
    pill.hidden = false;
    if (pill.dataset.status !== status) pill.dataset.status = status;
    const place = pill.querySelector("[data-conn-text]");
    if (place && place.textContent !== text) place.textContent = text;
  }
  for (const button of document.querySelectorAll("[data-conn-retry]")) button.hidden = status !== "reconnecting";
  showBanner(status);
  if (away() > 10000 && !toldLost && !stopped) {
    toldLost = true;
    announce("Connection lost.");
  }
}

function showBanner(status) {
  const banner = document.getElementById("conn-banner");
  if (!banner) return;
  const offline = status === "offline" ? "You are offline. This page shows what was known last."
    : "The connection is lost. Trying again; this page shows what was known last.";
  banner.hidden = !(stopped || away() >= BANNER_MS);
  const place = banner.querySelector("[data-conn-banner-text]");
  if (place && !banner.hidden && place.textContent !== (stopped || offline)) place.textContent = stopped || offline;
  const again = banner.querySelector("[data-conn-reload]");
  if (again) again.hidden = !/reload/i.test(stopped); // whoever is told to gets the button for it
  const link = banner.querySelector("[data-conn-signin]");
  if (!link) return;
  link.hidden = stopped !== SIGNED_OUT;
  if (!link.hidden) {
    const to = new URL(link.href, location.href);
    to.searchParams.set("next", location.pathname + location.search);
    link.href = to.href;
  }
}

// ---------------------------------------------------------------- one connection, whatever carries it

let started = false;
let live = false; // the socket was welcomed, and not closed since
let polling = false; // the last poll was answered
let everLive = false;
let resting = false; // hidden for so long that we let go
let hiddenTimer;
let awake = false; // hidden, and yet with something to do
let clockedAt = Date.now();

function wanted() {
  const shown = [...document.querySelectorAll("[data-live]")].map((element) => element.dataset.live);
  return new Set([...shown, ...followers.keys()].filter(Boolean));
}

function isConnected() {
  lostAt = undefined;
  everLive = true;
  if (toldLost) announce("Connected again.");
  toldLost = false;
}

function isLost() {
  if (live || polling || lostAt !== undefined) return;
  lostAt = performance.now();
  for (const ms of [PILL_MS, BANNER_MS]) setTimeout(showConnection, ms + 20); // the page's second may come much later
}

// Why there will be no connection until the page is loaded again.
function stop(why) {
  stopped = why;
  live = false;
  hangUp();
  stopPolling();
  clearTimeout(retryTimer);
  if (why === SIGNED_OUT) tabs?.postMessage({ doubt: true });
  showConnection();
}

// Frames of the server, in their order. `asked` is the generation in which a request over HTTP was sent.
function take(frames, asked) {
  for (const frame of frames) {
    if (frame.type === "beat") stale = frame.stale;
    else if (frame.type === "drain" && asked === undefined) drained(frame.after_ms);
  }
  const again = asked === undefined ? frames.flatMap((frame) => reducer.take(frame)) : reducer.answer(asked, frames);
  for (const frame of frames) if (frame.type === "end" || frame.type === "gone") watched.delete(frame.stream);
  if (live) subscribe(again.filter((name) => watched.has(name)));
  showMoved(true);
}

function showMoved(tell) {
  for (const name of reducer.moved) {
    movedAt.set(name, performance.now());
    paintSoon(name);
    if (tell && isShared(name) && reducer.streams.get(name).data) tabs?.postMessage(reducer.shared(name));
  }
  reducer.moved.clear();
}

// ---------------------------------------------------------------- other tabs of this browser

const tabs = typeof BroadcastChannel === "function" ? new BroadcastChannel("live") : undefined;

// Small streams that most pages show, such as counts: what one page hears of them all pages show.
const isShared = (stream) => elementsOf(stream).some((element) => "share" in element.dataset);

function heardFromTab({ data }) {
  if (stopped || !started) return;
  if (data.doubt) {
    doubt();
  } else {
    reducer.take(data);
    showMoved(false);
  }
}

// ---------------------------------------------------------------- the socket

let socket;
let tries = 0; // sockets in a row that were lost, or never there
let retryTimer;
let barredUntil = 0; // the server wants no socket of ours before
let openTimer;
let answerTimer;
let ackTimer;
let heardAt = 0;
let ackedAt = 0;
let unread = 0; // frames since our last acknowledgement
let beatMs = 20000;
const watched = new Set(); // streams this connection was asked for
const arrived = new Map(); // stream -> the version that came last, to be acknowledged

const spread = (longest) => Math.random() * Math.min(away() < REPLACED_MS ? SHORT_WAIT_MS : LONGEST_WAIT_MS, longest);

function send(frame) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(frame));
}

function subscribe(names) {
  for (let at = 0; at < names.length; at += CHUNK) {
    send({ type: "subscribe", ...reducer.ask(names.slice(at, at + CHUNK)) });
  }
}

// Bring what the connection watches to what the page shows.
function watch() {
  const names = wanted();
  for (const name of reducer.streams.keys()) if (!names.has(name)) reducer.forget(name);
  if (polling && [...names].some((name) => !reducer.streams.has(name))) poll();
  if (!live || socket?.readyState !== WebSocket.OPEN) return;
  const leave = [...watched].filter((name) => !names.has(name));
  for (const name of leave) watched.delete(name);
  for (let at = 0; at < leave.length; at += CHUNK) {
    send({ type: "unsubscribe", streams: leave.slice(at, at + CHUNK) });
  }
  const join = [...names].filter((name) => !watched.has(name) && !reducer.streams.get(name)?.over);
  join.length = Math.min(join.length, MOST - watched.size);
  for (const name of join) watched.add(name);
  subscribe(join);
}

function connect() {
  clearTimeout(retryTimer);
  retryTimer = undefined;
  if (stopped || socket || !navigator.onLine || resting) return;
  isLost();
  const url = new URL(document.body.dataset.liveUrl ?? "/ws/live/", location.href);
  url.protocol = url.protocol.replace("http", "ws");
  const mine = new WebSocket(url);
  socket = mine;
  // Frames of an older connection are ignored: each handler knows its own.
  mine.onopen = () => {
    if (socket !== mine) return;
    const csrf = document.querySelector('meta[name="csrf"]')?.content;
    send({ type: "hello", v: 1, csrf, ack: true, streams: [] });
  };
  mine.onmessage = (message) => {
    if (socket !== mine) return;
    heardAt = performance.now();
    answered();
    const content = JSON.parse(message.data);
    const frames = Array.isArray(content) ? content : [content];
    if (frames[0].type === "welcome") welcomed(frames.shift());
    take(frames);
    if (socket === mine) acknowledge(frames);
    showConnection();
  };
  mine.onclose = (event) => {
    if (socket === mine) lost(event.code, event.reason);
  };
  openTimer = setTimeout(() => giveUp(mine), OPEN_MS);
}

function welcomed(frame) {
  clearTimeout(openTimer);
  stopPolling();
  clockOffset = frame.time - Date.now();
  beatMs = frame.beat_ms;
  tries = 0;
  stale = false;
  live = true;
  watched.clear();
  arrived.clear();
  unread = 0;
  isConnected();
  watch();
}

// Say what came, so that the server goes on sending: without a timer where it can, because those of hidden pages rest.
function acknowledge(frames) {
  for (const { stream, version } of frames) {
    if (stream === undefined || version === undefined) continue;
    arrived.set(stream, version);
    unread += 1;
  }
  if (!arrived.size) return;
  const wait = ackedAt + (unread < ACK_FRAMES ? ACK_MS : ACK_BUSY_MS) - performance.now();
  clearTimeout(ackTimer);
  if (wait > 0) ackTimer = setTimeout(acknowledge, wait, []);
  else sendAck();
}

function sendAck(id) {
  ackedAt = performance.now();
  send({ type: "ack", id, versions: Object.fromEntries(arrived) });
  arrived.clear();
  unread = 0;
}

// A socket that does not answer is dead, whatever the browser says of it.
function giveUp(mine) {
  if (socket !== mine) return;
  lost(1006);
  mine.close();
}

function hangUp() {
  clearTimeout(openTimer);
  clearTimeout(ackTimer);
  answered();
  const leaving = socket;
  socket = undefined;
  live = false;
  reducer.lost();
  leaving?.close();
}

function lost(code, reason) {
  hangUp();
  isLost();
  if (code >= 4400 && code < 4500 && code !== 4408) {
    stop(STOPPED[code] ?? "Live updates stopped. Reload the page.");
    return;
  }
  tries += 1;
  const overrun = code === 4508 || code === 4529; // too slow for a socket, too loud, or one too many
  const told = Number(/"retry_after_ms":(\d+)/.exec(reason)?.[1]);
  if (overrun) barredUntil = performance.now() + (told || SOCKET_AGAIN_MS);
  if (overrun || tries >= 2 || away() >= OPEN_MS) pollSoon();
  retryIn(polling ? SOCKET_AGAIN_MS : spread(FIRST_WAIT_MS * 2 ** (tries - 1)));
  showConnection();
}

function drained(ms) {
  hangUp();
  isLost();
  retryIn(ms);
}

function retryIn(ms) {
  clearTimeout(retryTimer);
  retryTimer = setTimeout(connect, Math.max(ms, barredUntil - performance.now()));
}

function retryNow() {
  tries = 0;
  if (polling) poll();
  connect();
}

// ---------------------------------------------------------------- polls, while there is no socket

let asking; // the request under way
let pollTimer;
let pollTries = 0;

function pollSoon() {
  if (!asking && !pollTimer) poll();
}

function stopPolling() {
  clearTimeout(pollTimer);
  pollTimer = undefined;
  asking?.abort();
  asking = undefined;
  polling = false;
}

async function poll() {
  clearTimeout(pollTimer);
  pollTimer = undefined;
  asking?.abort();
  if (stopped || live || resting || !navigator.onLine) return;
  const mine = (asking = new AbortController());
  const begun = performance.now();
  const done = (next) => {
    if (asking !== mine) return;
    asking = undefined;
    const wait = next === undefined ? Math.max(pollFailed(), mine.after ?? 0) : next + begun - performance.now();
    pollTimer = setTimeout(poll, wait);
    showConnection();
  };
  try {
    done(await withSeat((seated) => pollOnce(mine, seated && !document.hidden)));
  } catch {
    done();
  }
}

// Ask once; return when to ask again, in ms after this one began, or nothing when that failed.
async function pollOnce(mine, waits) {
  const names = [...wanted()].filter((name) => !reducer.streams.get(name)?.over);
  const url = new URL("/api/live", location.href);
  // Above a request's limit they take turns.
  const part = names.slice(pollTurn * CHUNK, (pollTurn + 1) * CHUNK);
  pollTurn = (pollTurn + 1) % Math.max(1, Math.ceil(names.length / CHUNK));
  if (!part.length) return POLL_SECONDS * 1000;
  for (const name of part) url.searchParams.append("stream", name);
  const cursor = reducer.cursor(part);
  if (cursor) url.searchParams.set("cursor", cursor);
  // An answer must come after what we hold was told, and before the server is heard too seldom.
  if (waits && polling && names.length <= CHUNK) url.searchParams.set("wait", String(POLL_SECONDS));
  reducer.want(part);
  const asked = reducer.generation;
  const patience = setTimeout(() => mine.abort(), POLL_SECONDS * 1000 + 2 * ANSWER_MS);
  try {
    const headers = { Accept: "application/json" };
    const response = await fetch(url, { headers, cache: "no-store", signal: mine.signal });
    const answer = response.ok ? await response.json() : undefined;
    if (asking !== mine) return undefined;
    if (response.status === 401) stop(SIGNED_OUT);
    mine.after = Number(response.headers.get("Retry-After")) * 1000; // when it is too much for the server
    if (!answer) return undefined;
    pollAnswered();
    take(answer.frames, asked);
    const least = document.hidden ? POLL_HIDDEN_MS : waits ? POLL_MS : POLL_CROWDED_MS;
    return Math.max(least, answer.poll_after_ms ?? POLL_SECONDS * 1000);
  } finally {
    clearTimeout(patience);
  }
}

let pollTurn = 0;

function pollAnswered() {
  pollTries = 0;
  if (!polling) retryIn(spread(FIRST_WAIT_MS)); // where this came through, a socket may as well
  polling = true;
  stale = false;
  isConnected();
}

function pollFailed() {
  if (polling) {
    polling = false;
    isLost();
    tries = 0;
    retryIn(0);
  }
  pollTries += 1;
  return spread(FIRST_WAIT_MS * 2 ** pollTries);
}

// Let few pages of one browser wait at a time, so that its connections to the server are not all taken by that.
async function withSeat(work) {
  for (let seat = 0; navigator.locks && seat < SEATS; seat += 1) {
    const options = { ifAvailable: true };
    const found = await navigator.locks.request(`live-${seat}`, options, async (lock) => lock && [await work(true)]);
    if (found) return found[0];
  }
  return work(!navigator.locks);
}

// ---------------------------------------------------------------- doubt, sleep, and rest

function answered() {
  clearTimeout(answerTimer);
  answerTimer = undefined;
}

// Ask a silent socket whether it lives.
function doubt() {
  if (!live) {
    retryNow();
    return;
  }
  if (answerTimer) return; // it was asked already
  const mine = socket;
  sendAck(++reducer.request);
  answerTimer = setTimeout(() => {
    giveUp(mine);
    retryNow();
  }, ANSWER_MS);
}

function shown() {
  clearTimeout(hiddenTimer);
  hiddenTimer = undefined;
  if (resting) lostAt = undefined; // we let go ourselves
  resting = false;
  for (const name of reducer.streams.keys()) paintSoon(name);
  doubt();
}

function visibilityChanged() {
  if (!document.hidden) {
    shown();
    return;
  }
  hiddenTimer ??= setTimeout(() => {
    if (awake) return;
    resting = true;
    hangUp();
    stopPolling();
    clearTimeout(retryTimer);
  }, HIDDEN_MS);
}

function eachSecond() {
  const now = Date.now();
  const slept = now - clockedAt > SLEPT_MS && !document.hidden;
  clockedAt = now;
  askForTheRest();
  if (resting) return;
  if (slept || (live && performance.now() - heardAt > 2 * beatMs)) doubt();
  else if (away() >= OPEN_MS && navigator.onLine) pollSoon();
  showConnection();
}

function begin() {
  if (started) return;
  started = true;
  setInterval(eachSecond, 1000);
  document.addEventListener("visibilitychange", visibilityChanged);
  window.addEventListener("pageshow", (event) => event.persisted && shown());
  window.addEventListener("online", doubt);
  window.addEventListener("offline", showConnection);
  document.addEventListener("click", ({ target }) => {
    if (target.closest?.("[data-conn-retry]")) retryNow();
    if (target.closest?.("[data-conn-reload]")) location.reload();
  });
  document.addEventListener("htmx:afterSettle", watch);
  tabs?.addEventListener("message", heardFromTab);
  connect();
}

// Call `listener` with {version, data, over, gone, lost} of a stream now, whenever it moved, 4 times a second at most,
// and when the connection was `lost` or is back.
// Return a function that ends that.
export function follow(stream, listener) {
  if (!followers.has(stream)) followers.set(stream, new Set());
  followers.get(stream).add(listener);
  hear(stream, [listener]);
  begin();
  watch();
  return () => {
    followers.get(stream)?.delete(listener);
    if (!followers.get(stream)?.size) followers.delete(stream);
    watch();
  };
}

// Keep the connection however long the page is hidden: for one that tells its user outside of it.
export function stayAwake() {
  awake = true;
}

function start() {
  addEventListener("pointerdown", press, true);
  for (const name of ["pointerup", "pointercancel", "dragend"]) addEventListener(name, release, true);
  addEventListener("blur", release); // of the window: it is let go elsewhere
  document.addEventListener("htmx:beforeSwap", beforeSwap);
  Object.assign(words, JSON.parse(document.getElementById("status-words")?.textContent ?? "{}"));
  setInterval(tick, 1000);
  if (document.body.dataset.liveUrl) begin();
}

if (typeof document !== "undefined") start();
