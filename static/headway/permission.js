// The browser's question whether we may show notifications, asked for by a click and never by itself.

const button = document.querySelector("[data-ask-permission]");
const said = document.querySelector("[data-permission]");
const WORDS = {
  granted: "Allowed in this browser.",
  denied: "Your browser refuses. Its settings for this site can change that.",
  default: "",
};

function show() {
  if (!("Notification" in window)) {
    said.textContent = "This browser cannot show notifications.";
    return;
  }
  button.hidden = Notification.permission !== "default";
  said.textContent = WORDS[Notification.permission];
}

button?.addEventListener("click", async () => {
  const answer = await Notification.requestPermission();
  if (answer === "granted") document.dispatchEvent(new Event("notifications-allowed"));
  show();
});

if (button) show();
