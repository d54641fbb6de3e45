// What a visitor's browser keeps of one chat: who the visitor is, and what was said but is not known to be stored.
// Where a browser gives a page in a frame no storage, it is kept for as long as the page lives.

const MOST_PENDING = 50;

export class Memory {
  #key;
  #held = { token: null, pending: [] };

  constructor(channel) {
    this.#key = `aimatrix.webchat.${channel}`;
  }

  get token() {
    return this.#read().token;
  }

  set token(token) {
    this.#change((kept) => (kept.token = token));
  }

  /** Messages to be said, oldest first: [{id, text, at}]. Other tabs of this chat share them. */
  get pending() {
    return this.#read().pending;
  }

  add(message) {
    this.#change((kept) => (kept.pending = [...kept.pending, message].slice(-MOST_PENDING)));
  }

  remove(id) {
    this.#change((kept) => (kept.pending = kept.pending.filter((message) => message.id !== id)));
  }

  #read() {
    try {
      return { ...this.#held, ...JSON.parse(localStorage.getItem(this.#key)) };
    } catch {
      return this.#held;
    }
  }

  #change(how) {
    const kept = { ...this.#read() };
    how(kept);
    this.#held = kept;
    try {
      localStorage.setItem(this.#key, JSON.stringify(kept));
    } catch {
      // no storage here, or it is full
    }
  }
}
