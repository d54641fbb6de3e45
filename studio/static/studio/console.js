// The console's manners: live parts, copy buttons, the reader's own time zone. Every page works without it.

const csrf = document.querySelector('meta[name="csrf-token"]')?.content ?? "";
document.addEventListener("htmx:configRequest", (event) => {
  event.detail.headers["X-CSRFToken"] = csrf;
});

// A live part that came back unchanged is left alone: focus, selection and screen readers stay where they are.
const shown = new WeakMap();
document.addEventListener("htmx:beforeSwap", (event) => {
  const { target, xhr, requestConfig } = event.detail;
  if (requestConfig.verb !== "get") return;
  if (shown.get(target) === xhr.responseText) event.detail.shouldSwap = false;
  shown.set(target, xhr.responseText);
});

// What the reader opened or closed stays so, and who reads the end goes on reading the end.
let opened = new Map();
let atEnd = false;
document.addEventListener("htmx:beforeSwap", (event) => {
  const details = event.detail.target.querySelectorAll("details[id][data-touched]");
  opened = new Map([...details].map((each) => [each.id, each.open]));
  atEnd = innerHeight + scrollY > document.documentElement.scrollHeight - 160;
});
document.addEventListener("htmx:afterSwap", (event) => {
  for (const [id, open] of opened) {
    const each = document.getElementById(id);
    if (each) Object.assign(each, { open }).dataset.touched = "";
  }
  if (atEnd && event.detail.target.id === "thread") scrollTo({ top: document.documentElement.scrollHeight });
  prepare(event.detail.target);
});
document.addEventListener("click", (event) => {
  const details = event.target.closest("summary")?.parentElement;
  if (details) details.dataset.touched = "";
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// Ctrl or Command + Enter sends, as the button does.
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.form?.matches(".composer")) {
    event.preventDefault();
    event.target.form.requestSubmit();
  }
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
  button.textContent = "Copied";
});

// The same words as workspaces/templatetags/moments.py, in the reader's time zone.
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
function ago(at) {
  const seconds = (Date.now() - at) / 1000;
  if (seconds < 60) return "now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h`;
  if (seconds < 7 * 86400) return `${Math.floor(seconds / 86400)} d`;
  return day.format(at);
}
function clock(at) {
  const two = (number) => String(number).padStart(2, "0");
  const time = [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(":");
  return `${time}.${String(at.getMilliseconds()).padStart(3, "0")}`;
}
function tell(root) {
  for (const time of root.querySelectorAll("time[data-form]")) {
    const at = new Date(time.dateTime);
    const text = time.dataset.form === "clock" ? clock(at) : ago(at);
    if (time.textContent !== text) time.textContent = text;
    time.title = full.format(at);
  }
}
function prepare(root) {
  tell(root);
  for (const button of root.querySelectorAll("[data-copy][hidden]")) button.hidden = !navigator.clipboard;
}
setInterval(() => tell(document), 30_000);
prepare(document);

// <amx-live src="/live…">: says when parts of the page have changed, as events `amx:<name>` on the body.
// A page in the background lets go of its connection: browsers allow only six to one host over HTTP/1.1.
class Live extends HTMLElement {
  #source = null;
  #look = () => (document.hidden ? this.#close() : this.#open());

  connectedCallback() {
    document.addEventListener("visibilitychange", this.#look);
    addEventListener("pagehide", this.#hide);
    addEventListener("pageshow", this.#look);
    this.#look();
  }

  disconnectedCallback() {
    document.removeEventListener("visibilitychange", this.#look);
    removeEventListener("pagehide", this.#hide);
    removeEventListener("pageshow", this.#look);
    this.#close();
  }

  #hide = () => this.#close();

  #open() {
    if (this.#source) return;
    this.#source = new EventSource(this.getAttribute("src"));
    this.#source.onopen = () => this.#say("live", "Live");
    this.#source.onerror = () => {
      this.#say("away", "Reconnecting…");
      if (this.#source?.readyState === EventSource.CLOSED) {
        this.#close();
        setTimeout(this.#look, 5000);
      }
    };
    for (const name of ["conversations", "agents", "thread", "working", "partial"]) {
      this.#source.addEventListener(name, (event) => {
        document.body.dispatchEvent(new CustomEvent(`amx:${name}`, { detail: JSON.parse(event.data) }));
      });
    }
  }

  #close() {
    this.#source?.close();
    this.#source = null;
  }

  #say(state, text) {
    this.setAttribute("state", state);
    this.textContent = text;
  }
}
customElements.define("amx-live", Live);

// <amx-draft>: the answer that an agent is writing, until it is stored and stands in the thread.
class Draft extends HTMLElement {
  #of = "";
  #text = [];

  connectedCallback() {
    document.body.addEventListener("amx:working", ({ detail }) => this.#write({ ...detail, at: 0, text: "" }));
    document.body.addEventListener("amx:partial", ({ detail }) => this.#write(detail));
    document.body.addEventListener("htmx:afterSwap", ({ detail }) => {
      if (detail.target.id === "thread" && this.#answered()) this.hidden = true;
    });
  }

  #write({ d, at, text }) {
    if (d !== this.#of || at === 0) [this.#of, this.#text] = [d, []];
    if (at > this.#text.length) return; // a piece is missing; the stored answer will have it
    this.#text = [...this.#text.slice(0, at), ...text];
    this.querySelector("p").textContent = this.#text.join("");
    this.hidden = this.#answered();
  }

  #answered() {
    return document.querySelector(`[data-answers="${this.#of}"]`) !== null;
  }
}
customElements.define("amx-draft", Draft);
