// The admin's lists of choices make icons with a name but without a role, which no reader may speak.
window.addEventListener("load", () => setTimeout(() => {
  for (const icon of document.querySelectorAll(".help-tooltip[aria-label]")) icon.setAttribute("role", "img");
}));
// A picture alone labels the search box, which is no label to see; and tables below a form have heads of nothing.
document.getElementById("searchbar")?.setAttribute("aria-label", "Search");
for (const head of document.querySelectorAll("thead th")) {
  if (head.textContent.trim() || head.querySelector("img, input")) continue;
  const cell = document.createElement("td");
  cell.className = head.className;
  head.replaceWith(cell);
}
