// A file is sent as soon as it is chosen or dropped: with its progress, and a button that stops it. What is wrong with
// it before sending is said at once. Without this file the form sends it the same way, and the browser shows nothing.

const MEGABYTE = 1 << 20;
const say = (text) => (document.getElementById("announce").textContent = text);

function refusal(file, most, kinds) {
  if (file.size === 0) return "The file is empty.";
  if (most && file.size > most) return `The file is larger than the ${Math.floor(most / MEGABYTE)} MB limit.`;
  const known = !kinds || kinds.split(",").some((kind) => file.name.toLowerCase().endsWith(kind));
  return known ? "" : `${file.name} is no ${kinds} file.`;
}

// Sends a body, its progress shown in `root`: `done` takes what the server answered, `end` why it did not take it.
function send(root, file, { url, body, headers, done, end }) {
  const part = (selector) => root.querySelector(selector);
  const request = new XMLHttpRequest();
  const paint = (loaded, total) => {
    const percent = total ? Math.floor((loaded / total) * 100) : 0;
    part("[data-sending] rect").setAttribute("width", `${percent}%`);
    part("[data-sending] [role=progressbar]").setAttribute("aria-valuenow", String(percent));
    const size = (bytes) => (bytes / MEGABYTE).toFixed(1);
    part("[data-sent-of]").textContent = `${percent}%, ${size(loaded)} of ${size(total)} MB`;
  };
  const over = (act, given) => {
    part("[data-sending]").hidden = true;
    act(given);
  };
  request.open("POST", url);
  for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
  request.upload.addEventListener("progress", ({ loaded, total }) => paint(loaded, total));
  request.addEventListener("load", () => {
    let data = {};
    try {
      data = JSON.parse(request.responseText);
    } catch {
      // not ours: a proxy's page
    }
    const taken = request.status < 300 && (data.url || data.id);
    const led = request.status < 300 && "You are signed out. Sign in and send it again."; // to the page for that
    over(taken ? done : end, taken ? data : (data.detail ?? (led || "The file could not be sent. Try again.")));
  });
  request.addEventListener("error", () => over(end, "The connection was lost while the file was sent. Try again."));
  request.addEventListener("abort", () => over(end, "The upload was cancelled. Nothing was kept."));
  part("[data-stop]").onclick = () => request.abort();
  paint(0, file.size);
  part("[data-sending]").hidden = false;
  say(`Uploading ${file.name}`);
  request.send(body);
}

// A form for nothing but a file: what is answered says where to go.
const form = document.querySelector("[data-upload]");

if (form) {
  const field = form.querySelector('input[type="file"]');
  const said = form.querySelector("[role=alert]");
  const lock = (locked) => {
    for (const one of form.querySelectorAll("input[type=file], [type=submit]")) one.disabled = locked;
  };
  const end = (text) => {
    lock(false);
    field.value = "";
    said.textContent = text;
  };
  const start = () => {
    const file = field.files[0];
    if (!file || field.disabled) return;
    said.textContent = "";
    const wrong = refusal(file, Number(form.dataset.most), field.accept);
    if (wrong) return end(wrong);
    const body = new FormData(form);
    const done = ({ url }) => {
      say("Uploaded");
      location.assign(url);
    };
    lock(true);
    send(form, file, { url: form.action, body, headers: { Accept: "application/json" }, done, end });
  };
  field.addEventListener("change", start);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    start();
  });
}

// A file among other fields: it is sent while these are filled in, and the form then names what is here already.
document.addEventListener("change", ({ target: field }) => {
  const file = field.matches("input[type=file][data-kept]") && field.files[0];
  if (!file) return;
  const own = field.form;
  const root = field.closest(".field");
  const said = root.querySelector("[data-said]");
  const lock = (locked) => {
    for (const one of [field, ...own.querySelectorAll("[type=submit]")]) one.disabled = locked;
  };
  const end = (text) => {
    lock(false);
    field.value = "";
    said.textContent = text;
  };
  said.textContent = "";
  const wrong = refusal(file, Number(field.dataset.most), "");
  if (wrong) return end(wrong);
  const body = new FormData();
  body.append("file", file);
  const done = ({ id, name }) => {
    end("");
    own.elements[field.dataset.kept].value = id;
    field.required = false;
    root.querySelector("[data-here]").textContent = `${name} is here. Choose a file to replace it.`;
    say("Uploaded");
  };
  lock(true);
  const headers = { "X-CSRFToken": own.elements.csrfmiddlewaretoken.value };
  send(root, file, { url: field.dataset.url, body, headers, done, end });
});
