// Custom elements for any page of the site: <job-progress>, <unread-count>, <system-stability>.
// They show a stream as it stands, over the page's one connection. No HTML is made of text: PROTOCOL.md, "Elements".

// The very live.js of the page, whose address may carry a hash: under another it would be loaded and connect twice.
const own = document.querySelector('script[type="module"][src*="/realtime/live."]')?.src;
const { follow } = await import(own ?? new URL("./live.js", import.meta.url).href);

// Inside a shadow root, so that they look the same in a page without our style sheet.
const style = new CSSStyleSheet();
style.replaceSync(`
  :host { display: inline-block; font: inherit }
  :host([hidden]) { display: none }
  .track { display: block; box-sizing: border-box; width: 100%; min-width: 8rem; height: .5rem; overflow: hidden;
    border: 1px solid transparent; border-radius: 1rem; background: var(--line, #8884) }
  .done { display: block; height: 100%; width: 0; background: var(--st, var(--accent, #2563eb)); forced-color-adjust: none }
  .text { display: block; font-size: .875em; font-variant-numeric: tabular-nums }
  .dot { display: inline-block; width: .5rem; height: .5rem; margin-right: .4rem; border-radius: 50%; background: var(--st, #888) }
  :host([data-status=loading]) .dot { animation: dot 1s infinite alternate }
  @keyframes dot { to { opacity: 0 } }
  .said { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap }
  @media (prefers-reduced-motion: no-preference) { .done { transition: width .25s } }
  @media (prefers-reduced-motion) { .dot { animation: none!important } }
`);

const number = new Intl.NumberFormat("en-GB");
const ANNOUNCE_MS = 15000; // a listener hears of progress this often at most

// An element that shows one stream while it is in the page.
class Streamed extends HTMLElement {
  #stop;
  #placed = false;
  parts = {};

  constructor() {
    super();
    const shadow = this.attachShadow({ mode: "open" });
    shadow.adoptedStyleSheets = [style];
    for (const [name, within, attributes] of this.constructor.parts) {
      const part = (this.parts[name] = document.createElement("span"));
      part.className = name;
      for (const [key, value] of Object.entries(attributes ?? {})) part.setAttribute(key, value);
      (this.parts[within] ?? shadow).append(part);
    }
  }

  connectedCallback() {
    this.#placed = true;
    this.#follow();
  }

  disconnectedCallback() {
    this.#placed = false;
    this.#stop?.();
    this.#stop = undefined;
  }

  #follow() {
    this.#stop?.();
    this.#stop = this.stream ? follow(this.stream, (held) => this.show(held)) : undefined;
  }

  attributeChangedCallback(name, before, now) {
    if (before !== now && this.#placed) this.#follow();
  }
}

const WORDS = { complete: "Complete", completed_with_errors: "Completed with errors" };

const wordOf = (status) => WORDS[status] ?? (status[0].toUpperCase() + status.slice(1)).replaceAll("_", " ");

// <job-progress job="<uuid>" label="Ingest MSFT">: a bar and a line of text.
class JobProgress extends Streamed {
  static observedAttributes = ["job", "label"];
  static parts = [
    ["track", "", { role: "progressbar", "aria-valuemin": "0", "aria-valuemax": "100" }],
    ["done", "track"],
    ["text", ""],
    ["said", "", { role: "status", "aria-live": "polite" }],
  ];

  #saidAt = -Infinity;
  #quarter;

  get stream() {
    const job = this.getAttribute("job");
    return job && `job:${job}`;
  }

  show({ data, gone }) {
    const { track, done, text } = this.parts;
    this.hidden = Boolean(gone); // not theirs, or no more: one and the same
    if (!data || gone) return;
    const { items = {}, state } = data;
    const more = data.title?.includes(data.subject) ? "" : data.subject;
    track.setAttribute("aria-label", this.getAttribute("label") ?? [data.title, more].filter(Boolean).join(" "));
    const ended = (items.done ?? 0) + (items.failed ?? 0) + (items.skipped ?? 0);
    const percent = Math.floor((data.progress ?? 0) * 100 + 1e-9);
    const known = items.total > 0 || percent > 0 || state === "completed";
    const counted = items.total ? `${number.format(ended)} of ${number.format(items.total)}` : "";
    const words = [wordOf(data.display ?? state), known ? `${percent}%` : "", counted];
    if (items.failed) words.push(`${number.format(items.failed)} failed`);
    const line = words.filter(Boolean).join(", ");
    if (known) track.setAttribute("aria-valuenow", String(percent));
    else track.removeAttribute("aria-valuenow"); // there is no share of an unknown total
    track.setAttribute("aria-valuetext", line);
    track.dataset.status = data.display ?? state;
    done.style.width = `${percent}%`;
    text.textContent = line;
    this.#say(line, Math.floor(percent / 25), ["completed", "partial", "failed", "cancelled"].includes(state));
  }

  // A progressbar is no live region: its end, and quarters on the way, are said beside it.
  #say(line, quarter, final) {
    const news = final ? "end" : quarter;
    const first = this.#quarter === undefined;
    if (news === this.#quarter) return;
    if (!final && performance.now() - this.#saidAt < ANNOUNCE_MS) return;
    this.#quarter = news;
    if (first) return; // it stood there when the page was opened
    this.#saidAt = performance.now();
    this.parts.said.textContent = line;
  }
}

// <unread-count user="<pk>" field="inbox.unread" label="unread" titled>: a number of the user's stream.
class UnreadCount extends Streamed {
  static observedAttributes = ["user", "field", "label"];
  static parts = [
    ["number", "", { "aria-hidden": "true" }],
    ["said", ""],
  ];

  #title;

  get stream() {
    const user = this.getAttribute("user");
    return user && `user:${user}`;
  }

  show({ data, gone }) {
    const field = this.getAttribute("field") ?? "inbox.unread";
    const count = gone ? undefined : field.split(".").reduce((value, key) => value?.[key], data);
    this.hidden = !count; // nothing unread, or nothing said about it
    this.parts.number.textContent = count ? number.format(count) : "";
    this.parts.said.textContent = count ? `${number.format(count)} ${this.getAttribute("label") ?? "unread"}` : "";
    if (!this.hasAttribute("titled")) return;
    this.#title ??= document.title.replace(/^\([\d,]+\) /, "");
    document.title = count ? `(${number.format(count)}) ${this.#title}` : this.#title;
  }
}

const STABILITY = {
  loading: ["Loading...", ""],
  stable: ["System Stable", "All data processing is complete"],
  processing: ["Processing Data", "Data is currently being processed"],
  unknown: ["Status unknown", ""],
  lost: ["Status unknown", "Connection error. Status updates may be unavailable."],
};

// <system-stability>: is all data stable? `stable` is true, false, or null.
class SystemStability extends Streamed {
  static parts = [["dot", ""], ["line", ""]];
  stream = "system";

  connectedCallback() {
    this.#paint("loading");
    super.connectedCallback();
  }

  show({ data, gone, lost }) {
    this.#paint(lost ? "lost" : (!gone && data?.state) || "unknown");
  }

  #paint(state) {
    const [text, title] = STABILITY[state] ?? ["Status unknown", "Error processing status update."];
    this.stable = { stable: true, processing: false }[state] ?? null;
    this.dataset.status = state === "processing" ? "busy" : state;
    this.title = title;
    this.parts.line.textContent = text;
  }
}

customElements.define("system-stability", SystemStability);
customElements.define("job-progress", JobProgress);
customElements.define("unread-count", UnreadCount);
