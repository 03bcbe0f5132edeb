// The rows of the inbox page: how they look, which are picked, and how many match.

export const $ = (selector, root = document) => root.querySelector(selector);
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

export const number = new Intl.NumberFormat("en-GB");

export const page = $("[data-inbox]");
export const form = $("#inbox-form");
export const menu = $("#snooze");

export const list = () => $("#inbox-list");
export const rows = () => $$("li.notice:not(.fold)", list());
export const titleOf = (row) => $(".title", row);

export function setRead(row, read) {
  if (read) delete row.dataset.unread;
  else row.dataset.unread = "";
  const word = $(":scope > div > .sr[data-word]", row);
  if (word) word.hidden = read;
  const button = $(':scope > .when [data-do="turn"]', row);
  if (!button) return;
  button.value = `${read ? "unread" : "read"} ${row.dataset.keys}`;
  button.setAttribute("aria-label", `Mark as ${read ? "unread" : "read"}: ${titleOf(row).textContent}`);
}

// A fold is unread while one of its rows is; a heading shows while it has rows.
export function settle() {
  for (const fold of $$("li.fold", list())) {
    const inner = $$("li.notice", fold);
    fold.hidden = inner.length === 0;
    setRead(fold, !inner.some((row) => "unread" in row.dataset));
  }
  for (const under of $$(":scope > ul", list())) {
    const empty = ![...under.children].some((row) => !row.hidden);
    under.hidden = under.previousElementSibling.hidden = empty;
  }
  countPicked();
}

// Take a row out; return what puts it back where it was.
export function takeOut(row) {
  const place = document.createComment("");
  if (row.contains(document.activeElement)) {
    const all = rows();
    const at = all.indexOf(row);
    const next = all[at + 1] ?? all[at - 1];
    (next ? titleOf(next) : $("h1")).focus({ preventScroll: true });
  }
  row.replaceWith(place);
  const box = $("input", row);
  box.checked = false;
  return () => {
    const there = place.isConnected;
    place.replaceWith(row);
    return there;
  };
}

// more: "+" where the server has not counted to the end.
export function match(count, more) {
  Object.assign(form.dataset, { matching: count, more });
  $("[data-matching-said]").textContent = number.format(count) + more;
  countPicked();
}

export function countPicked() {
  const boxes = $$('input[name="pick"]', list());
  const picked = boxes.filter((box) => box.checked);
  const all = $("[data-all]");
  const most = Number(form.dataset.matching);
  const wide = all.checked && picked.length === boxes.length;
  const every = $("[data-pick-all]");
  every.closest("label").hidden = boxes.length === 0;
  every.checked = boxes.length > 0 && picked.length === boxes.length;
  every.indeterminate = picked.length > 0 && !every.checked;
  if (!every.checked) all.checked = false;
  $("[data-wide]").hidden = !(every.checked && most > boxes.length);
  const many = number.format(wide ? most : picked.length) + (wide ? form.dataset.more : "");
  $("[data-picked]").textContent = picked.length ? `${many} selected` : `Select all ${number.format(boxes.length)}`;
  $("[data-bulk]").hidden = picked.length === 0;
  for (const button of $$("[data-bulk] button")) $("[data-n]", button).textContent = picked.length ? ` ${many}` : "";
  for (const fold of $$("li.fold", list())) {
    const inner = $$('input[name="pick"]', fold);
    const box = $("[data-pick-fold]", fold);
    box.checked = inner.length > 0 && inner.every((one) => one.checked);
    box.indeterminate = !box.checked && inner.some((one) => one.checked);
  }
}
