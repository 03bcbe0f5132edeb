// Days: the open day is fetched anew when it changes, unless its reader is at something; of other days only the
// cell of the calendar. It makes no HTML.

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

// ---- keys: arrows go from day to day, T is today ----

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || event.isComposing) return;
  if (event.target.closest?.("input, textarea, select, dialog, [popover]") || $("dialog[open]")) return;
  if ($("[data-single-keys]")?.checked === false) return;
  const link = { ArrowLeft: 'main a[rel="prev"]', ArrowRight: 'main a[rel="next"]', t: "main [data-today]" }[event.key];
  if (link && $(link)) {
    event.preventDefault();
    $(link).click();
  }
});

const { follow, refetch } = await import($('script[type="module"][src*="/realtime/live."]').src);

// ---- the day ----

const TYPING = 'input:not([type="checkbox"], [type="radio"], [type="hidden"]), textarea, select';
let asked = false; // the reader wants it now
let kept; // what is to be as it was, after a swap

function isBusy(root) {
  const at = document.activeElement;
  const selection = getSelection();
  const selects = !selection.isCollapsed && root.contains(selection.anchorNode);
  return selects || (at?.matches(TYPING) && root.contains(at) && at.value !== "");
}

document.addEventListener("refetch", (event) => {
  if (event.target.id !== "day" || asked || !isBusy(event.target)) return;
  event.preventDefault();
  $("#offer").hidden = false;
});

document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-update-day]")) return;
  asked = true;
  refetch($("#day"));
});

// The row that is topmost stays where it is; what is open stays open.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.target?.id !== "day") return;
  const row = $$("[data-row]").find((one) => one.getBoundingClientRect().bottom > 0);
  const scrolled = scrollY > 0 && row;
  kept = {
    open: $$("details[open][id]", event.detail.target).map((one) => one.id),
    row: scrolled ? row.id : "",
    top: scrolled ? row.getBoundingClientRect().top : 0,
  };
});

document.addEventListener("htmx:afterSwap", (event) => {
  if (!kept || !$("#day") || event.detail.target?.id !== "day") return;
  for (const id of kept.open) document.getElementById(id)?.setAttribute("open", "");
  const row = kept.row && document.getElementById(kept.row);
  if (row) scrollBy({ top: row.getBoundingClientRect().top - kept.top, behavior: "instant" });
  kept = undefined;
  asked = false;
  watchDays();
  if (last) heard(last); // what was drawn may be older than what was said meanwhile
});

// ---- the calendar ----

let watched = ""; // the stream whose cells are kept up to date
let last; // what it said
let leave;
const REFUSED_MS = 2000;

function paintCell(cell, date) {
  const { cells, on = "" } = $("#cal").dataset;
  const { version } = cell.dataset;
  cell.dataset.version = "Infinity"; // asked for
  const url = `${cells}${date}/cell/?on=${on}`;
  // What was said meanwhile is heard now. One that is still there was refused: a while later it is asked for again.
  const again = () => {
    cell.dataset.version = version;
    if (last) heard(last);
  };
  const answered = () => setTimeout(again, cell.isConnected ? REFUSED_MS : 0);
  window.htmx?.ajax("GET", url, { source: cell, target: cell })?.then(answered, answered);
}

// The stream says which days moved last and where they stand; of a day that is not in the calendar nothing changes.
function heard(state) {
  last = state;
  const { data, gone } = state;
  if (gone || !data) return;
  const day = $("#day");
  if (day && data.status !== day.dataset.account) {
    day.dataset.account = data.status; // it was paused, or goes on: the page says so
    refetch(day);
  }
  for (const [date, { version }] of Object.entries(data.moved ?? {})) {
    const cell = document.getElementById(`cell-${date}`);
    if (cell && version > Number(cell.dataset.version)) paintCell(cell, date);
  }
}

function watchDays() {
  const calendar = $("#cal");
  if (!calendar || watched === calendar.dataset.days) return;
  leave?.();
  watched = calendar.dataset.days;
  leave = follow(watched, heard);
}

watchDays();
