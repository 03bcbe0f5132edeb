// The admin's lists of choices make icons with a name but without a role, which no reader may speak.
window.addEventListener("load", () => setTimeout(() => {
  for (const icon of document.querySelectorAll(".help-tooltip[aria-label]")) icon.setAttribute("role", "img");
}));
