// What opens the details of the system's status, and the status page, which is asked again while somebody looks.
// Without this file the pill is a link to that page.

const $ = (selector) => document.querySelector(selector);

const PAGE_MS = 5000; // what no stream says is asked this often

const dialog = $("#details");
const link = $("[data-details-link]");

async function opened(event) {
  if (!event.target.closest("[data-open-details]")) return;
  if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a link may be meant for another tab
  event.preventDefault();
  try {
    (await import(dialog.dataset.script)).open();
  } catch {
    location.assign(link.href); // a script that did not come is not asked for again by this page
  }
}

// ---- the status page ----

function lookAgain() {
  const page = $("#status");
  if (!page || document.hidden || page.contains(document.activeElement)) return;
  window.htmx?.ajax("GET", page.dataset.fragment, { source: page, target: page, select: "#status" });
}

if (dialog) {
  link.hidden = true;
  for (const button of document.querySelectorAll("button[data-open-details]")) button.hidden = false;
  document.addEventListener("click", opened);
  if ($("#status")) setInterval(lookAgain, PAGE_MS);
}
