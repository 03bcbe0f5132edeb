// What the list of jobs and the page of a job do beyond forms and links: what is picked, and the feed of events.

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

// ---- selection and bulk actions ----

const plural = (n, of, verb) => (n === of ? `${verb} ${n}` : `${verb} ${n} of ${of}`);
const OPEN = ["pending", "running", "waiting"];

function countPicked() {
  const bar = $("[data-actionbar]");
  if (!bar) return;
  const picked = $$('input[name="job"]:checked');
  const all = $("[data-all]", bar)?.checked ?? false;
  const open = picked.filter((box) => OPEN.includes(box.dataset.state)).length;
  const again = picked.filter((box) => "undone" in box.dataset).length;
  bar.hidden = picked.length === 0 && !all;
  $("[data-picked]", bar).textContent = all ? "All that match are selected" : `${picked.length} selected`;
  $("[data-count-cancel]", bar).textContent = all ? "Cancel all that can be" : plural(open, picked.length, "Cancel");
  $("[data-count-retry]", bar).textContent = all ? "Retry all that can be" : plural(again, picked.length, "Retry");
  $('[value="cancel"]', bar).disabled = !all && open === 0;
  $('[value="retry"]', bar).disabled = !all && again === 0;
  for (const row of $$("tr:has(input[name='job'])")) {
    row.setAttribute("aria-selected", String($('input[name="job"]', row).checked));
  }
}

let lastPicked = null;

document.addEventListener("click", (event) => {
  const box = event.target.closest('input[name="job"]');
  if (!box) return;
  const boxes = $$('input[name="job"]');
  if (event.shiftKey && lastPicked && boxes.includes(lastPicked)) {
    const [from, to] = [boxes.indexOf(lastPicked), boxes.indexOf(box)].sort((a, b) => a - b);
    for (const one of boxes.slice(from, to + 1)) one.checked = box.checked;
  }
  lastPicked = box;
});

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-pick-all]")) {
    for (const box of $$('input[name="job"]')) box.checked = event.target.checked;
  }
  if (event.target.matches('[data-pick-all], [data-all], input[name="job"]')) countPicked();
});

// ---- the feed of events: it follows its end until the reader scrolls up ----

const feed = { follows: true, top: 0, seen: 0 };

function showFeed() {
  const list = $("[data-feed]");
  if (!list) return;
  const count = list.children.length;
  const last = Number(list.lastElementChild?.id.slice(1) ?? 0);
  if (feed.follows) {
    list.scrollTop = list.scrollHeight;
    feed.seen = last;
  } else {
    list.scrollTop = feed.top;
  }
  const fresh = feed.follows ? 0 : [...list.children].filter((row) => Number(row.id.slice(1)) > feed.seen).length;
  const more = $("[data-feed-new]");
  more.hidden = fresh === 0 || count === 0;
  $("button", more).textContent = fresh === 1 ? "1 new event" : `${fresh} new events`;
  if (list.dataset.armed) return;
  list.dataset.armed = "1";
  list.addEventListener("scroll", () => {
    feed.top = list.scrollTop;
    feed.follows = list.scrollTop + list.clientHeight >= list.scrollHeight - 8;
    if (feed.follows) showFeedEnd(more, last);
  });
}

function showFeedEnd(more, last) {
  more.hidden = true;
  feed.seen = Math.max(feed.seen, last);
}

document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-feed-new] button")) return;
  feed.follows = true;
  showFeed();
  $("[data-feed]").focus({ preventScroll: true });
});

// ---- after a part of the page was replaced ----

let picked = new Set();
document.addEventListener("htmx:beforeSwap", () => {
  picked = new Set($$('input[name="job"]:checked').map((box) => box.value));
});
document.addEventListener("htmx:afterSettle", () => {
  for (const box of $$('input[name="job"]')) if (picked.has(box.value)) box.checked = true;
  ready();
});

function ready() {
  for (const hidden of $$("[data-pick-all]")) hidden.hidden = false;
  countPicked();
  showFeed();
}

ready();
