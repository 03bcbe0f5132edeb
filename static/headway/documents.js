// Files are sent as soon as they are chosen or dropped, three at a time, each with its progress and a button that
// stops it. What is wrong before sending is said at once. Without this file the form sends them together.

const AT_ONCE = 3;
const MOST_FILES = 20;
const MEGABYTE = 1 << 20;

function bind(form) {
  const input = form.querySelector('input[type="file"]');
  const list = form.querySelector("[data-uploads]");
  const zone = form.querySelector("[data-drop]");
  const template = form.querySelector("[data-upload-row]");
  const token = form.querySelector("[name=csrfmiddlewaretoken]").value;
  const say = (text) => (document.getElementById("announce").textContent = text);
  const waiting = [];
  let sending = 0;
  form.querySelector("[data-plain]").hidden = true;
  input.required = false;

  const wrong = (file) => {
    const most = Number(form.dataset.most);
    if (file.size === 0) return "The file is empty.";
    if (file.size > most) return `The file is larger than the ${Math.floor(most / MEGABYTE)} MB limit.`;
    if (!input.accept.split(",").some((ending) => file.name.toLowerCase().endsWith(ending)))
      return "Only PDF, DOCX, HTML, Markdown and text files are read.";
    return "";
  };

  const show = (file) => {
    const row = template.content.firstElementChild.cloneNode(true);
    const part = (name) => row.querySelector(`[data-${name}]`);
    part("name").textContent = file.name;
    part("stop-said").textContent = `Cancel upload of ${file.name}`;
    list.append(row);
    list.hidden = false;
    return { row, part, file };
  };

  const refuse = ({ row, part, file }, text) => {
    row.dataset.status = "failed";
    part("said").textContent = text;
    part("said").classList.add("bad");
    row.querySelector(".badge").hidden = true;
    part("stop-said").textContent = `Dismiss ${file.name}`;
    part("stop").onclick = () => gone(row);
    say(`${file.name}: ${text}`);
  };

  const gone = (row) => {
    row.remove();
    list.hidden = !list.children.length;
  };

  const next = () => {
    while (sending < AT_ONCE && waiting.length) {
      const shown = waiting.shift();
      if (shown.row.isConnected) send(shown); // else it was cancelled while it waited
    }
  };

  const queue = (shown) => {
    waiting.push(shown);
    next();
  };

  // Which of two documents of one name is meant is asked before the file is sent. Without an answer both are kept.
  const ask = async (shown) => {
    const { row, part, file } = shown;
    let there = null;
    try {
      const answer = await fetch(`${form.dataset.names}?${new URLSearchParams({ name: file.name })}`);
      if (answer.ok && !answer.redirected) there = (await answer.json()).document;
    } catch {
      // what is wrong with the connection is said of the upload itself
    }
    if (!row.isConnected) return; // it was cancelled meanwhile
    if (!there) return queue(shown);
    const decide = (replaces) => {
      part("choice").hidden = true;
      row.querySelector(".badge").hidden = false;
      part("said").textContent = "";
      queue({ ...shown, replaces });
    };
    part("both-said").textContent = part("replace-said").textContent = ` ${file.name}`;
    part("said").textContent = "A document of this name is here.";
    row.querySelector(".badge").hidden = true;
    part("choice").hidden = false;
    part("both").onclick = () => decide();
    part("replace").onclick = () => decide(there);
    say(`${file.name}: a document of this name is here. Keep both, or replace it?`);
  };

  const send = (shown) => {
    const { row, part, file, replaces } = shown;
    const request = new XMLHttpRequest();
    const body = new FormData();
    body.append("file", file);
    if (replaces) body.append("replaces", replaces);
    sending += 1;
    request.open("POST", form.action);
    request.setRequestHeader("Accept", "application/json");
    request.setRequestHeader("X-CSRFToken", token);
    request.upload.addEventListener("progress", ({ loaded, total }) => {
      part("percent").textContent = `Uploading ${total ? Math.floor((loaded / total) * 100) : 0}%`;
    });
    part("stop").onclick = () => request.abort();
    request.addEventListener("loadend", () => {
      sending -= 1;
      const ours = request.getResponseHeader("Content-Type")?.startsWith("application/json");
      if (request.status === 200 && ours) {
        gone(row); // the live list has its row now
        say(`Uploaded ${file.name}`);
      } else if (request.status === 200) {
        refuse(shown, "You are signed out. Sign in and send it again."); // it was led to the page for that
      } else if (request.status) {
        let detail;
        try {
          detail = JSON.parse(request.responseText).detail;
        } catch {
          // not ours: a proxy's page
        }
        refuse(shown, detail ?? "The file could not be sent. Try again.");
      }
      next();
    });
    request.addEventListener("error", () => refuse(shown, "The connection was lost while the file was sent. Try again."));
    request.addEventListener("abort", () => gone(row));
    part("percent").textContent = "Uploading 0%";
    say(`Uploading ${file.name}`);
    request.send(body);
  };

  const take = (files) => {
    for (const [n, file] of [...files].entries()) {
      const shown = show(file);
      const text = n < MOST_FILES ? wrong(file) : `At most ${MOST_FILES} files at a time.`;
      if (text) {
        refuse(shown, text);
        continue;
      }
      shown.part("stop").onclick = () => gone(shown.row);
      ask(shown);
    }
  };

  input.addEventListener("change", () => {
    take(input.files);
    input.value = "";
  });
  for (const name of ["dragover", "dragleave", "drop"])
    zone.addEventListener(name, (event) => {
      event.preventDefault();
      zone.classList.toggle("over", name === "dragover");
      if (name === "drop") {
        event.stopPropagation();
        take(event.dataTransfer.files);
      }
    });
}

// The form comes with the page, or with the news that a workspace is ready.
const bound = new WeakSet();
const look = () => {
  const form = document.querySelector("[data-documents]");
  if (!form || bound.has(form)) return;
  bound.add(form);
  bind(form);
};
look();
document.addEventListener("htmx:afterSettle", look);
