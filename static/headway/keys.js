// The shortcuts of UX 3.8, the dialog that lists them, and the switch that turns single keys off (WCAG 2.1.4).
// Every shortcut has a visible button or link, so all of it works without this file too.

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

const TYPING = "input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]";
const GO = { h: 'a[href="/"]', j: 'a[href="/jobs/"]', i: 'a[href="/inbox/"]', c: 'a[href="/companies/"]', d: 'a[href="/days/"]', w: 'a[href="/workspaces/"]', s: 'a[href="/status/"]' };
const PICK = 'input:is([name="job"], [name="pick"], [data-pick-fold])';
const GO_MS = 1000; // between G and the letter after it
const KEPT = "shortcuts"; // what was switched in this browser; else what the account says
const OF_ACCOUNT = document.documentElement.dataset.singleKeys;

const dialog = $("#keys");
const toggle = $("[data-single-keys]");
let going = 0;
let opener = null;
let on = true;

function set(value) {
  on = value !== "off";
  if (toggle) toggle.checked = on;
}

try {
  set(localStorage.getItem(KEPT) ?? OF_ACCOUNT);
} catch {
  set(OF_ACCOUNT); // a browser that keeps nothing: the switch holds for this page
}
addEventListener("storage", (event) => event.key === KEPT && set(event.newValue ?? OF_ACCOUNT));
toggle?.addEventListener("change", () => {
  set(toggle.checked ? "on" : "off");
  try {
    localStorage.setItem(KEPT, on ? "on" : "off");
  } catch {
    // see above
  }
});

// ---- the dialog ----

for (const button of $$("[data-open-keys]")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    opener = button;
    dialog.showModal();
  });
}
dialog?.addEventListener("close", () => {
  // The browser gives the focus back, but not to a button in a menu that closed.
  if (opener && !opener.checkVisibility()) $(".menu-btn").focus();
  opener = null;
});

// ---- the keys ----

const KEYS = {
  "/": (event) => focusOn($("[data-page-search]") ?? $("#search"), event),
  "?": () => dialog?.showModal(),
  j: (event) => moveRow(1, event),
  k: (event) => moveRow(-1, event),
  x: pick,
  n: (event) => moveProblem(1, event),
  p: (event) => moveProblem(-1, event),
  r: () => $("#retry")?.focus(),
  f: () => $("[data-feed-new] button")?.click(),
  c: () => ask($("#cancel")),
  e: ({ target }) => press(target, '[data-do="archive"], [data-do="restore"]'),
  u: ({ target }) => press(target, '[data-do="turn"][value^="unread"]'),
  i: ({ target }) => press(target, '[data-do="turn"][value^="read"]'),
  h: ({ target }) => press(target, '[data-do="snooze"]'),
  z: () => $$("#toasts [data-undo]").at(-1)?.click(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.target.closest?.(TYPING) || $("dialog[open]")) return;
  if (event.key === "F6") return focusOn($("#toasts"), event);
  if (event.key === "Escape") return clearPicked();
  const key = event.key.toLowerCase();
  if (!on || key.length > 1 || (event.shiftKey && /[a-wyz]/.test(key))) return;
  if (Date.now() - going < GO_MS && GO[key]) return $(`#nav ${GO[key]}`)?.click();
  going = key === "g" ? Date.now() : 0;
  if (Object.hasOwn(KEYS, key)) KEYS[key](event);
});

function focusOn(element, event) {
  if (!element) return;
  event.preventDefault();
  element.focus();
}

function moveRow(step, event) {
  const links = $$("main tbody tr a[href], main .list > li a[href], main .notice .title").filter(
    (link, n, all) => link.checkVisibility() && n === all.findIndex((one) => one.closest("tr, li") === link.closest("tr, li")),
  );
  const here = links.findIndex((link) => link.closest("tr, li") === event.target.closest("tr, li"));
  focusOn(links[Math.max(0, Math.min(links.length - 1, here + step))], event);
}

// From a problem to the next, round and round.
function moveProblem(step, event) {
  const all = $$("[data-problem]");
  const here = all.findIndex((one) => one.closest("tr") === event.target.closest("tr"));
  focusOn(all.at((here < 0 && step < 0 ? 0 : here + step) % all.length), event);
}

// With Shift, all from the row that was selected last.
function pick({ target, shiftKey }) {
  const box = $(PICK, target.closest("tr, .notice") ?? target);
  box?.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true, shiftKey }));
}

// Do to the row that has the focus what its button does.
function press(target, button) {
  const row = target.closest(".notice");
  if (row) $(`:scope > .when ${button}`.replaceAll(", ", ", :scope > .when "), row)?.click();
}

function clearPicked() {
  if ($(":popover-open")) return; // the key closes that
  const boxes = $$(`${PICK}, [data-pick-all], [data-all]`).filter((box) => box.checked);
  for (const box of boxes) box.checked = false;
  boxes[0]?.dispatchEvent(new Event("change", { bubbles: true }));
}

// Press a button that asks before it acts; only go to one that acts at once.
function ask(button) {
  button?.focus();
  if (button?.popoverTargetElement) button.click();
}
