// The visitor's line to Studio: the protocol of gateway/sockets.py over a WebSocket that may break at any time.
//
// What is said is kept in memory and sent one by one, each until `stored` comes back, with the same id every time: Studio
// stores a repeat once. What is shown comes from Studio; after a break the line asks for all that is newer than it knows.

const ANSWER_WITHIN = 10_000;
const PROBE_EVERY = 45_000;
const FIRST_WAIT = 500;
const LONGEST_WAIT = 30_000;
const AGAIN_AFTER = 2_500;

export class Line extends EventTarget {
  #address;
  #memory;
  #socket = null;
  #welcomed = false;
  #failures = 0;
  #timers = {};
  #saying = null; // id of the message that is out

  /** `after`: the number of the last message that the page shows. */
  after = 0;

  constructor(address, memory) {
    super();
    this.#address = address;
    this.#memory = memory;
    addEventListener("online", () => this.#soon());
    document.addEventListener("visibilitychange", () => document.hidden || this.#probe());
    setInterval(() => document.hidden || this.#probe(), PROBE_EVERY);
  }

  open() {
    clearTimeout(this.#timers.reopen);
    const socket = new WebSocket(this.#address);
    this.#socket = socket;
    socket.onopen = () => this.#hello();
    socket.onmessage = ({ data }) => this.#heard(JSON.parse(data));
    socket.onclose = () => socket === this.#socket && this.#lost();
  }

  /** Keeps `text` until it is stored, and says it as soon as the line allows. Returns its id. */
  say(text) {
    const message = { id: newId(), text, at: Date.now() };
    this.#memory.add(message);
    this.#sayNext();
    return message;
  }

  seen(seq) {
    if (this.#welcomed) this.#send({ t: "seen", seq });
  }

  #hello() {
    this.#send({ t: "hello", token: this.#memory.token, after: this.after });
    this.#expect("welcome");
  }

  #heard(frame) {
    if (frame.t === "welcome") this.#welcome(frame);
    else if (frame.t === "stored") this.#stored(frame);
    else if (frame.t === "error") this.#refused(frame);
    this.dispatchEvent(new CustomEvent(frame.t, { detail: frame }));
  }

  #welcome({ token }) {
    clearTimeout(this.#timers.welcome);
    this.#memory.token = token;
    this.#failures = 0;
    this.#welcomed = true;
    queueMicrotask(() => this.#sayNext()); // after the page has heard the welcome
  }

  #sayNext() {
    const next = this.#memory.pending[0];
    if (!this.#welcomed || this.#saying || !next) return;
    this.#saying = next.id;
    this.#send({ t: "message", id: next.id, text: next.text });
    this.#expect("stored");
  }

  #stored({ id }) {
    this.#memory.remove(id);
    if (id !== this.#saying) return;
    clearTimeout(this.#timers.stored);
    this.#saying = null;
    this.#sayNext();
  }

  #refused({ id }) {
    if (!id || id !== this.#saying) return;
    clearTimeout(this.#timers.stored);
    setTimeout(() => {
      if (this.#saying !== id) return;
      this.#saying = null;
      this.#sayNext();
    }, AGAIN_AFTER);
  }

  /** Nothing tells a page that its connection is gone; a greeting that stays unanswered does. */
  #probe() {
    if (this.#welcomed) this.#hello();
    else this.#soon();
  }

  #expect(answer) {
    clearTimeout(this.#timers[answer]);
    const socket = this.#socket;
    this.#timers[answer] = setTimeout(() => socket === this.#socket && this.#drop(), ANSWER_WITHIN);
  }

  #drop() {
    this.#socket.onclose = null;
    this.#socket.close();
    this.#lost();
  }

  #lost() {
    this.#socket = this.#saying = null;
    this.#welcomed = false;
    clearTimeout(this.#timers.welcome);
    clearTimeout(this.#timers.stored);
    this.dispatchEvent(new Event("lost"));
    const wait = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.#failures++);
    this.#timers.reopen = setTimeout(() => this.open(), wait * (0.75 + Math.random() / 2));
  }

  /** There is reason to hope: do not wait any longer. */
  #soon() {
    if (!this.#socket) this.open();
  }

  #send(frame) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(frame));
  }
}

function newId() {
  // randomUUID is missing where the page came over plain http
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
