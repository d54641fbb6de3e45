// Shows the chat on any page: <script src="…/webchat/<id>/widget.js" async></script>
// Attributes of the script: data-label="Ask us", data-side="left", data-z-index="100".
(() => {
  "use strict";
  const script = document.currentScript;
  const chat = script.src.replace(/\/widget\.js([?#].*)?$/, "");
  const label = script.dataset.label || "Chat with us";
  const side = script.dataset.side === "left" ? "left" : "right";

  const host = document.createElement("div");
  const root = host.attachShadow({ mode: "closed" });
  const style = new CSSStyleSheet(); // unlike a <style>, free of the page's Content-Security-Policy
  style.replaceSync(`
    :host { position: fixed; inset: auto 0 0 auto; ${side === "left" ? "inset: auto auto 0 0;" : ""} color-scheme: light dark; }
    button { position: fixed; bottom: 1.25rem; ${side}: 1.25rem; width: 3.5rem; height: 3.5rem; border: 0; border-radius: 50%; padding: 0;
      display: grid; place-items: center; cursor: pointer; color: #fff; background: #0f5f4a; box-shadow: 0 8px 24px -6px rgb(0 0 0 / .4); }
    button:hover { background: #0b4b3a; }
    button:focus-visible { outline: 3px solid #0f5f4a; outline-offset: 3px; box-shadow: 0 0 0 3px #fff; }
    svg { width: 1.625rem; height: 1.625rem; fill: none; stroke: currentColor; stroke-width: 1.9; stroke-linecap: round; stroke-linejoin: round; }
    [aria-expanded="true"] .closed, [aria-expanded="false"] .opened { display: none; }
    .news::after { content: ""; position: absolute; top: 0; right: 0; width: .875rem; height: .875rem; border-radius: 50%; background: #d4382c; border: 2px solid #fff; }
    iframe { position: fixed; bottom: 5.75rem; ${side}: 1.25rem; width: min(25rem, calc(100vw - 2.5rem)); height: min(40rem, calc(100dvh - 7.5rem));
      border: 1px solid rgb(128 128 128 / .35); border-radius: 1rem; background: Canvas; box-shadow: 0 24px 64px -16px rgb(0 0 0 / .45); }
    iframe[hidden] { display: none; }
    @media (max-width: 30rem) { iframe { inset: 0 0 5.5rem 0; width: 100vw; height: auto; min-height: calc(100dvh - 5.5rem); border-radius: 0; border-width: 0 0 1px; } }
  `);
  root.adoptedStyleSheets = [style];
  host.style.zIndex = script.dataset.zIndex || "2147483000";

  const button = document.createElement("button");
  button.type = "button";
  button.setAttribute("aria-label", label);
  button.setAttribute("aria-expanded", "false");
  button.append(icon("closed", "M20 11.5a7.5 7.5 0 0 1-11 6.6L4 19.5l1.4-4.6A7.5 7.5 0 1 1 20 11.5Z"), icon("opened", "m6 9 6 6 6-6"));
  root.append(button);

  let frame = null;
  let ready = false; // the chat's page is there and listens
  const isOpen = () => button.getAttribute("aria-expanded") === "true";

  function show(open) {
    if (frame) frame.hidden = !open;
    else frame = newFrame();
    button.setAttribute("aria-expanded", String(open));
    button.classList.remove("news");
    if (!open) button.focus();
    else if (ready) greet();
  }

  function newFrame() {
    const made = document.createElement("iframe");
    made.title = label;
    made.src = chat;
    made.addEventListener("load", () => {
      ready = true;
      if (isOpen()) greet();
    });
    root.prepend(made);
    return made;
  }

  function greet() {
    frame.focus();
    frame.contentWindow.postMessage({ aimatrix: "open" }, new URL(chat).origin);
  }

  function icon(name, path) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("class", name);
    svg.setAttribute("aria-hidden", "true");
    svg.append(document.createElementNS(svg.namespaceURI, "path"));
    svg.firstChild.setAttribute("d", path);
    return svg;
  }

  button.addEventListener("click", () => show(!isOpen()));
  document.addEventListener("keydown", (event) => event.key === "Escape" && isOpen() && show(false));
  addEventListener("message", (event) => {
    if (!frame || event.source !== frame.contentWindow) return;
    if (event.data?.aimatrix === "close" && isOpen()) show(false);
    if (event.data?.aimatrix === "unread" && !isOpen()) button.classList.add("news");
  });

  const place = () => document.body.append(host);
  if (document.body) place();
  else addEventListener("DOMContentLoaded", place);
})();
