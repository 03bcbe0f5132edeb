// The list as the server says it is: brought in without moving anything under the reader.

import { $, $$, form, list, match, menu, number, page, rows, setRead, settle, takeOut, titleOf } from "./rows.js";

const NEAR_TOP = 8; // px
const announce = (text) => ($("#announce").textContent = text);

const around = (row) => $$(":scope > div:not(.when) > :not(.title)", row);

// Bring an older row to what the server says of it now, without moving it.
function refresh(row, fresh) {
  setRead(row, !("unread" in fresh.dataset));
  if (row.dataset.stamp === fresh.dataset.stamp) return;
  const [title, theirs] = [titleOf(row), titleOf(fresh)];
  title.textContent = theirs.textContent;
  if (theirs.hasAttribute("href")) title.setAttribute("href", theirs.getAttribute("href"));
  const old = around(row);
  if (old.some((element) => element.contains(document.activeElement))) title.focus({ preventScroll: true });
  for (const element of old) element.remove();
  title.after(...around(fresh).map((element) => element.cloneNode(true)));
  for (const named of $$(":scope > input, .acts > *", fresh)) {
    const same = named.matches("input") ? ":scope > input" : `.acts > [data-do="${named.dataset.do}"]`;
    $(same, row)?.setAttribute("aria-label", named.getAttribute("aria-label"));
  }
  $(":scope > .icon use", row).setAttribute("href", $(":scope > .icon use", fresh).getAttribute("href"));
  row.dataset.status = fresh.dataset.status;
  row.toggleAttribute("data-open", "open" in fresh.dataset);
  row.dataset.stamp = fresh.dataset.stamp;
  row.toggleAttribute("data-unseen", "unseen" in fresh.dataset);
  row.dispatchEvent(new Event("inserted", { bubbles: true }));
}

let fresh; // the page as the server last gave it
let forced = false; // what was taken back has no place in the list any more: the server's list has
let syncing = false;
let again = false;
let asked = 0; // acts so far
let pending = 0; // those the server has not answered yet

// Say that an act is asked for; a list that is fetched meanwhile may not know it.
export function begin() {
  asked += 1;
  pending += 1;
}

export function end() {
  pending -= 1;
}

export const goOn = () => again && sync();

// Take the server's list, wherever the reader is.
export const force = () => (forced = true);

export async function sync() {
  again = Boolean(pending || syncing);
  if (again) return;
  syncing = true;
  const before = asked;
  try {
    const headers = { "HX-Request": "true", "HX-Target": "inbox" };
    const response = await fetch(location.href, { headers, cache: "no-store" });
    const found = response.ok && new DOMParser().parseFromString(await response.text(), "text/html").getElementById("inbox");
    if (asked !== before) again = true; // it may not know yet what was done meanwhile
    else if (found) take(found);
  } catch {
    // The pill in the top bar says that there is no connection; the next frame asks again.
  }
  syncing = false;
  goOn();
}

function take(found) {
  fresh = found;
  for (const element of $$("[data-count]", page)) {
    const theirs = $(`[data-count="${CSS.escape(element.dataset.count)}"]`, found);
    element.textContent = theirs?.textContent ?? "0";
    element.hidden = theirs?.hidden ?? true;
  }
  const theirs = new Map($$("li.notice:not(.fold)", found).map((row) => [row.dataset.keys, row]));
  const ours = new Map(rows().map((row) => [row.dataset.keys, row]));
  const last = [...theirs.values()].at(-1)?.dataset.at;
  const whole = !$("[rel=next]", found);
  for (const [key, row] of ours) {
    if (theirs.has(key)) refresh(row, theirs.get(key));
    else if (page.dataset.view === "unread") setRead(row, true); // read elsewhere: it stays where the reader sees it
    else if ((whole || row.dataset.at > last) && !row.matches(":hover, :focus-within")) takeOut(row);
  }
  settle();
  const news = [...theirs].filter(([key, row]) => !ours.has(key) || ours.get(key).dataset.at < row.dataset.at).length;
  // What came after the page was shown is not touched by "all that match", so it is not counted there.
  matchAs(found, news);
  offer("before" in Object.fromEntries(new URLSearchParams(location.search)) ? 0 : news);
}

function matchAs(found, less = 0) {
  const { matching, more } = $("#inbox-form", found).dataset;
  match(Math.max(0, matching - less), more);
}

function offer(news) {
  const bar = $("[data-show-new]");
  const busy = $$("input:checked", list()).length || list().matches(":hover, :focus-within") || menu.matches(":popover-open");
  if (forced || (news && scrollY <= NEAR_TOP && !busy)) return showNew();
  const was = bar.hidden;
  bar.hidden = news === 0 && rows().length > 0;
  $("button", bar).textContent = `Show ${number.format(news)} new`;
  if (!news && !rows().length) return showNew(); // the words of an empty view
  if (was && !bar.hidden) announce(`${news} new`);
}

// Put the list as the server last gave it into the page; what was selected stays so.
export function showNew() {
  forced = false;
  const picked = new Set($$('input[name="pick"]:checked', list()).map((box) => box.value));
  $("[data-show-new]").hidden = true;
  for (const id of ["inbox-list", "inbox-foot"]) document.getElementById(id).replaceWith($(`#${id}`, fresh));
  const upto = $("[name=upto]", fresh).value;
  for (const field of $$("[name=upto]", page)) field.value = upto; // what is shown now can be acted on
  for (const box of $$('input[name="pick"]', list())) box.checked = picked.has(box.value);
  matchAs(fresh);
  ready();
  page.dispatchEvent(new Event("inserted", { bubbles: true }));
}

$("[data-show-new] button")?.addEventListener("click", () => {
  showNew();
  scrollTo({ top: 0 });
  const first = rows()[0];
  if (first) titleOf(first).focus({ preventScroll: true });
});

export function ready() {
  for (const element of $$("[data-scripted]", page)) element.hidden = false;
  settle();
}
