// The messages at the bottom right (UX 3.5): three at most, the newest lowest, and none of them takes the focus.
// The server writes those of a form. Other scripts say theirs with an event on the document: "message", with
// {title, text, status, icon, href, stays, undo, valid, news}: undo is called by the button and by Z, href is where the
// title leads, the message goes when the promise `valid` fails: what it says did not happen; what `valid` gives says it
// better: {title, undo}, without `undo` there is none. news: it is in the inbox too, so that the bell takes it away.

const MOST = 3;
const SECONDS = 6;
const UNDO_SECONDS = 8;

const region = document.getElementById("toasts");
const undos = new WeakMap(); // button -> what it does

const isHeld = (toast) => toast.matches(":hover, :focus-within");

// Let a message go after its time, which rests while somebody may be reading it.
function arm(toast, seconds) {
  toast.dataset.armed = "1";
  if ("stays" in toast.dataset) return;
  let left = seconds;
  const timer = setInterval(() => {
    if (document.hidden || isHeld(toast)) return;
    left -= 1;
    if (left > 0 && toast.isConnected) return;
    clearInterval(timer);
    toast.remove();
  }, 1000);
}

// Make room: those that would go by themselves go first, and none that somebody is at.
function makeRoom() {
  const shown = [...region.children];
  while (shown.length >= MOST) {
    const free = shown.filter((toast) => !isHeld(toast));
    const goes = free.find((toast) => !("stays" in toast.dataset)) ?? free[0] ?? shown[0];
    goes.remove();
    shown.splice(shown.indexOf(goes), 1);
  }
}

function show({ title, text = "", status = "complete", icon = "done", href, stays = false, undo, valid, news }) {
  makeRoom();
  const toast = document.getElementById("toast").content.firstElementChild.cloneNode(true);
  toast.dataset.status = status;
  if (stays) toast.dataset.stays = "";
  if (news) toast.dataset.news = "";
  toast.querySelector("use").setAttribute("href", `#i-${icon}`);
  const [link, plain] = toast.querySelectorAll("a, strong");
  const name = href ? link : plain;
  (href ? plain : link).remove();
  name.textContent = title;
  if (href) link.href = href;
  const line = toast.querySelector("p");
  line.textContent = text;
  line.hidden = !text;
  const button = toast.querySelector("[data-undo]");
  if (undo) undos.set(button, undo);
  else button.remove();
  region.append(toast);
  arm(toast, undo ? UNDO_SECONDS : SECONDS);
  valid?.then(
    (answer) => {
      name.textContent = answer.title;
      if (!answer.undo) button.remove();
    },
    () => toast.remove(),
  );
}

document.addEventListener("message", (event) => show(event.detail));

document.addEventListener("click", (event) => {
  const button = event.target.closest(".toast [data-undo], .toast [data-dismiss]");
  if (!button) return;
  const undo = undos.get(button);
  if ("undo" in button.dataset && !undo) return; // the form of a page that was posted
  button.closest(".toast").remove();
  undo?.();
});

for (const toast of region?.children ?? []) arm(toast, SECONDS);
