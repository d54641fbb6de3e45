// The web chat page. Text of others is only ever put in as text.

import { Line } from "./webchat-line.js";
import { Memory } from "./webchat-memory.js";

const WRITING_FOR = 90_000;
const NEAR_END = 120;

const part = (id) => document.getElementById(id);
const [log, scroller, draft, status, field] = ["log", "scroller", "draft", "status", "text"].map(part);

const channel = part("chat").dataset.channel;
const memory = new Memory(channel);
const line = new Line(`${location.origin.replace(/^http/, "ws")}/webchat/${channel}/socket`, memory);

// -- messages ----------------------------------------------------------------------------------------------------

/** What this visitor said, by the ids that its pages gave. */
const said = new Map();

function bubble(from, text, at) {
  const item = document.createElement("div");
  item.className = `message ${from}`;
  const who = document.createElement("span");
  who.className = "visually-hidden";
  who.textContent = from === "in" ? "You: " : "Answer: ";
  const body = document.createElement("p");
  body.className = "bubble";
  body.append(who, ...linked(text));
  const foot = document.createElement("p");
  foot.className = "foot";
  const time = document.createElement("time");
  time.dateTime = at.toISOString();
  time.textContent = at.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });
  const tick = document.createElement("span");
  tick.className = "tick";
  foot.append(time, tick);
  item.append(body, foot);
  item.dataset.text = text;
  return item;
}

/** Addresses in a text become links; everything stays text. */
function linked(text) {
  return text.split(/(https?:\/\/[^\s<>"]*[^\s<>".,;:!?)\]])/).map((piece, index) => {
    if (index % 2 === 0) return piece;
    const link = document.createElement("a");
    Object.assign(link, { href: piece, target: "_blank", rel: "noopener noreferrer nofollow", textContent: piece });
    return link;
  });
}

function mark(item, state, text) {
  item.classList.toggle("pending", state === "pending");
  item.querySelector(".tick").textContent = text;
  item.querySelector(".tick").title = state === "stored" ? "Received" : "";
}

/** What is not stored yet stays below everything that is. */
function place(item) {
  const follow = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR_END;
  log.insertBefore(item, item.matches(".pending") ? null : log.querySelector(".pending"));
  part("suggestions").replaceChildren();
  if (follow || item.matches(".in")) toEnd();
}

function toEnd() {
  scroller.scrollTop = scroller.scrollHeight;
}

function showPending({ id, text, at }) {
  const item = bubble("in", text, new Date(at));
  mark(item, "pending", "Sending…");
  item.dataset.id = id;
  said.set(id, item);
  place(item);
}

function showMessage(message) {
  if (message.seq <= line.after) return;
  line.after = message.seq;
  if (message.from === "in") showOwn(message);
  else showAnswer(message);
}

/** Our own words, as stored: the bubble that is here already, or, of another visit, a new one. */
function showOwn({ page_id, text, at }) {
  const item = said.get(page_id) ?? bubble("in", text, moment(at));
  said.set(page_id, item);
  mark(item, "stored", "✓");
  if (!item.isConnected) place(item);
}

function showAnswer({ seq, text, at, answers }) {
  if (answers && answers === writing.of) endDraft();
  place(bubble("out", text, moment(at)));
  unseen = seq;
  tellSeen();
  if (!onScreen) tellParent("unread");
}

/** `2026-11-21 07:00:00.123`, in UTC where nothing else is said. */
function moment(at) {
  const iso = at.replace(" ", "T");
  return new Date(/(Z|[+-]\d\d:?\d\d)$/.test(iso) ? iso : `${iso}Z`);
}

// -- an answer while it is written -------------------------------------------------------------------------------

const writing = { of: null, text: [], timer: 0 };

function startDraft(of) {
  Object.assign(writing, { of, text: [] });
  keepDraft();
}

/** `at`: where the piece begins, in characters of the whole answer; 0 begins anew. */
function write({ d, at, text }) {
  if (d !== writing.of || at === 0) startDraft(d);
  if (at > writing.text.length) return; // a piece was lost: the stored answer will have it
  writing.text = [...writing.text.slice(0, at), ...text];
  keepDraft();
}

function keepDraft() {
  const follow = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR_END;
  draft.querySelector("p").replaceChildren(...linked(writing.text.join("")));
  draft.hidden = false;
  if (status.textContent !== "Writing…") status.textContent = "Writing…";
  clearTimeout(writing.timer);
  writing.timer = setTimeout(endDraft, WRITING_FOR);
  if (follow) toEnd();
}

function endDraft() {
  clearTimeout(writing.timer);
  Object.assign(writing, { of: null, text: [] });
  draft.hidden = true;
  status.textContent = "";
}

// -- seen --------------------------------------------------------------------------------------------------------

let onScreen = false;
let unseen = 0;

function tellSeen() {
  if (unseen && onScreen && !document.hidden) line.seen(unseen);
}

// Also in a frame that a page around it hides.
new IntersectionObserver(([entry]) => {
  onScreen = entry.isIntersecting;
  tellSeen();
}).observe(scroller);
document.addEventListener("visibilitychange", tellSeen);

// -- the line ----------------------------------------------------------------------------------------------------

line.addEventListener("welcome", ({ detail }) => {
  status.textContent = "";
  part("greeting").textContent = detail.greeting;
  endDraft();
  detail.messages.forEach(showMessage);
  if (!log.childElementCount) suggest(detail.suggestions);
  tellSeen();
});
line.addEventListener("stored", ({ detail: { id } }) => {
  const item = said.get(id);
  if (!item) return;
  mark(item, "stored", "✓");
});
line.addEventListener("message", ({ detail }) => showMessage(detail));
line.addEventListener("working", ({ detail }) => detail.d === writing.of || startDraft(detail.d));
line.addEventListener("partial", ({ detail }) => write(detail));
line.addEventListener("lost", () => {
  endDraft();
  status.textContent = "Connecting again… Your messages are kept.";
});
line.addEventListener("error", ({ detail }) => (status.textContent = detail.title ?? ""));

// -- the visitor -------------------------------------------------------------------------------------------------

function say(text) {
  const words = text.trim();
  if (words) showPending(line.say(words));
  return Boolean(words);
}

function suggest(suggestions) {
  const buttons = suggestions.map((text) => {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", textContent: text, onclick: () => say(text) && field.focus() });
    return button;
  });
  part("suggestions").replaceChildren(...buttons);
}

part("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  if (say(field.value)) field.value = "";
  field.focus();
});
field.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  part("composer").requestSubmit();
});

// -- the page around, where there is one (widget.js) ---------------------------------------------------------------

function tellParent(what) {
  if (parent !== window) parent.postMessage({ aimatrix: what }, "*"); // nothing in it is secret
}

addEventListener("keydown", (event) => event.key === "Escape" && tellParent("close"));
addEventListener("message", (event) => {
  if (event.source === parent && event.data?.aimatrix === "open") field.focus();
});

memory.pending.forEach(showPending);
status.textContent = "Connecting…";
line.open();
