// What a page does beyond its forms and links, all of which work without this file. It writes no HTML:
// states and figures are live.js's, structure is the server's.

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

// ---- forms: one click is one request ----

document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-once]")) return;
  if (event.target.dataset.sent) return event.preventDefault();
  event.target.dataset.sent = "1";
  const button = event.submitter;
  if (button) button.setAttribute("aria-disabled", "true");
});

// Let a form be sent again.
function free(form) {
  delete form.dataset.sent;
  for (const button of $$("[aria-disabled]", form)) button.removeAttribute("aria-disabled");
}

addEventListener("pageshow", () => $$("[data-sent]").forEach(free));

// ---- what htmx sent and nobody took: its button would seem dead, and a switch would show what is not so ----

for (const name of ["htmx:sendError", "htmx:responseError"]) {
  document.addEventListener(name, ({ detail: { elt, xhr, requestConfig } }) => {
    if (requestConfig.verb === "get") return; // a page asks again by itself
    if (elt.matches("[hx-trigger=change]")) elt.reset();
    free(elt);
    const page = new DOMParser().parseFromString(xhr.responseText, "text/html");
    const text = $(".empty p", page)?.textContent ?? "The server did not answer. Look whether it was done, and try again.";
    const detail = { title: "Not done", text, status: "failed", icon: "fail", stays: true };
    document.dispatchEvent(new CustomEvent("message", { detail }));
  });
}

// ---- what was switched in this browser gives way to what is now said for all of them ----

document.addEventListener("submit", (event) => {
  for (const name of event.target.dataset.forget?.split(" ") ?? []) localStorage.removeItem(name);
});

// ---- files dropped on a form ----

for (const name of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    const zone = event.target.closest?.("[data-drop]");
    if (!zone) return;
    event.preventDefault();
    zone.classList.toggle("over", name === "dragover");
    if (name !== "drop" || !event.dataTransfer?.files.length) return;
    const input = $('input[type="file"]', zone);
    input.files = event.dataTransfer.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  });
}

// ---- a link to copy ----

document.addEventListener("click", (event) => {
  const copy = event.target.closest("[data-copy]");
  if (copy) {
    navigator.clipboard.writeText(new URL(copy.dataset.copy, location.href).href).then(() => {
      $("#announce").textContent = "Link copied";
    });
  }
});

const ready = () => $$("[data-copy]").forEach((button) => (button.hidden = false));

document.addEventListener("htmx:afterSettle", ready);
ready();
