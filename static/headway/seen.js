// What has been on the screen, in the inbox or in the bell, is seen; it stays unread until somebody reads it.

const ACT = "/inbox/act/";

const screen = new IntersectionObserver((entries) => {
  const rows = entries.filter((entry) => entry.isIntersecting).map((entry) => entry.target);
  if (!rows.length) return;
  for (const row of rows) {
    screen.unobserve(row);
    delete row.dataset.unseen;
  }
  const body = new URLSearchParams({ one: `see ${rows.map((row) => row.dataset.keys).join()}` });
  const headers = { Accept: "application/json", "X-CSRFToken": document.querySelector('meta[name="csrf"]').content };
  // What was not noted is on the screen another time.
  fetch(ACT, { method: "POST", headers, body, keepalive: true }).catch(() => {});
});

function watch() {
  for (const row of document.querySelectorAll(".notice[data-unseen]")) screen.observe(row);
}

document.addEventListener("inserted", watch);
watch();
