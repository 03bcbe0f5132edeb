// The details of the system's status, in a dialog: it asks only when it is opened and holds nothing old. Loaded with the
// first click on what opens it.

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

const SKELETON_MS = 150; // nothing is said of loading before
const AGAIN_MS = 3000; // the open dialog asks this often at most

const dialog = $("#details");
const place = $("#details-body");
const foot = $("#details-foot");
const copyOf = (id) => document.getElementById(id).content.cloneNode(true);
let asked = 0; // requests, so that a late answer to an earlier one is not shown
let askedAt = -Infinity;
let timer;
let stops = []; // ends of what the dialog follows
let shapes = {}; // what it follows -> what it last said, without figures

function clear() {
  asked += 1;
  clearTimeout(timer);
  timer = undefined;
  for (const stop of stops) stop();
  stops = [];
  shapes = {};
  place.replaceChildren();
  foot.replaceChildren();
  place.removeAttribute("aria-busy");
}

function failed(why) {
  place.replaceChildren(copyOf("details-error"));
  $("[data-why]", place).textContent = why;
  foot.replaceChildren();
}

async function fetched() {
  const response = await fetch(dialog.dataset.url, { headers: { "HX-Request": "true" }, cache: "no-store" });
  if (!response.ok) throw new Error(`HTTP ${response.status} ${response.statusText}`.trim());
  const found = new DOMParser().parseFromString(await response.text(), "text/html");
  return [found.getElementById("details-body"), found.getElementById("details-foot")];
}

async function load() {
  const mine = ++asked;
  askedAt = performance.now();
  const waiting = setTimeout(() => {
    if (mine !== asked || place.childElementCount) return;
    place.replaceChildren(copyOf("details-loading"));
    place.setAttribute("aria-busy", "true");
  }, SKELETON_MS);
  let content;
  let error;
  try {
    content = await fetched();
  } catch (caught) {
    error = caught.message;
  }
  clearTimeout(waiting);
  await released();
  if (mine !== asked) return;
  place.removeAttribute("aria-busy");
  if (error !== undefined) {
    failed(`Failed to load details: ${error}`);
  } else if (!content[0] || !content[1]) {
    failed("Could not load status details.");
  } else {
    const focused = place.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    place.replaceChildren(...content[0].childNodes);
    foot.replaceChildren(...content[1].childNodes);
    if (focused) ($(`a[href="${CSS.escape(focused)}"]`, place) ?? $("[data-close]", dialog)).focus();
    place.dispatchEvent(new Event("inserted", { bubbles: true }));
    watch(JSON.parse(content[0].dataset.versions));
  }
}

// Follow what the dialog shows: the answer itself, and each job that is named.
// versions: stream -> where it stood when the server wrote the answer; it may have moved on before it is followed.
function watch(versions) {
  const names = ["system", ...$$("[data-live]", place).map((element) => element.dataset.live)];
  const before = stops;
  const old = shapes;
  shapes = {};
  stops = names.map((name) => {
    if (name in old) shapes[name] = old[name];
    return follow(name, ({ data, version, gone }) => {
      const shape = gone ? "gone" : JSON.stringify([data?.state, data?.display, data?.since]);
      const moved = name in shapes ? shapes[name] !== shape : gone || version > versions[name];
      shapes[name] = shape;
      if (moved) again();
    });
  });
  for (const stop of before) stop();
}

function again() {
  timer ??= setTimeout(() => {
    timer = undefined;
    if (dialog.open) load();
  }, Math.max(0, askedAt + AGAIN_MS - performance.now()));
}

export function open() {
  clear();
  if (!dialog.open) dialog.showModal(); // pressed twice while this file came
  load();
}

const { follow, released } = await import($('script[type="module"][src*="/realtime/live."]').src);
document.addEventListener("click", (event) => event.target.closest("[data-details-again]") && load());
dialog.addEventListener("close", clear);
