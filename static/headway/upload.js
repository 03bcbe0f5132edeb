// A file is sent as soon as it is chosen or dropped: with its progress, and a button that stops it. What is wrong with
// it before sending is said at once. Without this file the form sends it the same way, and the browser shows nothing.

const form = document.querySelector("[data-upload]");
const file = form?.querySelector('input[type="file"]');
const MEGABYTE = 1 << 20;

if (form) {
  const part = (selector) => form.querySelector(selector);
  const said = part("[role=alert]");
  const say = (text) => (document.getElementById("announce").textContent = text);
  let request;

  const show = (sending) => {
    part("[data-sending]").hidden = !sending;
    for (const one of form.querySelectorAll("input[type=file], [type=submit]")) one.disabled = sending;
  };

  const paint = (loaded, total) => {
    const percent = total ? Math.floor((loaded / total) * 100) : 0;
    part("rect").setAttribute("width", `${percent}%`);
    part("[role=progressbar]").setAttribute("aria-valuenow", String(percent));
    const size = (bytes) => (bytes / MEGABYTE).toFixed(1);
    part("[data-sent-of]").textContent = `${percent}%, ${size(loaded)} of ${size(total)} MB`;
  };

  const end = (text) => {
    request = undefined;
    show(false);
    file.value = "";
    said.textContent = text;
  };

  const answered = () => {
    let data = {};
    try {
      data = JSON.parse(request.responseText);
    } catch {
      // not ours: a proxy's page
    }
    if (request.status === 200 && data.url) {
      say("Uploaded");
      return location.assign(data.url);
    }
    end(data.detail ?? "The file could not be sent. Try again.");
  };

  const send = () => {
    const chosen = file.files[0];
    if (!chosen || request) return;
    said.textContent = "";
    if (chosen.size === 0) return end("The file is empty.");
    const most = Number(form.dataset.most);
    if (chosen.size > most) return end(`The file is larger than the ${Math.floor(most / MEGABYTE)} MB limit.`);
    const kinds = file.accept.split(",");
    if (!kinds.some((kind) => chosen.name.toLowerCase().endsWith(kind))) return end(`${chosen.name} is no ${file.accept} file.`);
    const body = new FormData(form);
    request = new XMLHttpRequest();
    request.open("POST", form.action);
    request.setRequestHeader("Accept", "application/json");
    request.upload.addEventListener("progress", ({ loaded, total }) => paint(loaded, total));
    request.addEventListener("load", answered);
    request.addEventListener("error", () => end("The connection was lost while the file was sent. Try again."));
    request.addEventListener("abort", () => end("The upload was cancelled. Nothing was kept."));
    paint(0, chosen.size);
    show(true);
    say(`Uploading ${chosen.name}`);
    request.send(body);
  };

  file.addEventListener("change", send);
  part("[data-stop]").addEventListener("click", () => request?.abort());
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
}
