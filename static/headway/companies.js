// Search for companies: arrow keys go through the matches, Enter opens one or starts its ingestion.

const $$ = (selector) => [...document.querySelectorAll(selector)];
const field = document.querySelector("[data-company-search]");

function pick(step) {
  const rows = $$("[data-match]");
  if (!rows.length) return;
  const at = rows.findIndex((row) => row.classList.contains("on"));
  const next = at < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(Math.max(at + step, 0), rows.length - 1);
  for (const row of rows) row.classList.toggle("on", row === rows[next]);
  rows[next].scrollIntoView({ block: "nearest" });
  // The field keeps the focus, so that one types on; who listens hears what is picked.
  document.querySelector("#announce").textContent = rows[next].innerText.replaceAll("\n", ", ");
}

field?.addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    pick(event.key === "ArrowDown" ? 1 : -1);
  } else if (event.key === "Enter") {
    const picked = document.querySelector("[data-match].on :is(a, button)");
    if (!picked) return; // the form searches
    event.preventDefault();
    picked.click();
  } else if (event.key === "Escape") {
    for (const row of $$("[data-match].on")) row.classList.remove("on");
  }
});

// How the page hears of an ingestion is said beside it: live.js says it in the page's head, far from where one looks.
const connection = document.querySelector("#conn");
const sayHow = () => {
  for (const line of $$("[data-connection]")) {
    line.hidden = !line.dataset.connection.split(" ").includes(connection.dataset.status);
  }
};
if (connection) {
  new MutationObserver(sayHow).observe(connection, { attributes: true, attributeFilter: ["data-status"] });
  document.addEventListener("htmx:afterSettle", sayHow);
  sayHow();
}
