// Begins the page that the HTML names: what a link shows to everybody, and what a key opens.

import { followLink } from "./link.js";
import { withKey } from "./key.js";
import { showHandoff } from "./handoff.js";
import { showQueues } from "./queues.js";
import { el } from "./dom.js";
import { say } from "./words.js";

// A mistake of ours must not look like an empty queue.
for (const event of ["error", "unhandledrejection"]) {
  window.addEventListener(event, () => {
    document.getElementById("main").prepend(el("p", { role: "alert", class: "banner bad" }, say("broken")));
  }, { once: true });
}

const { page, handoff } = document.body.dataset;
const room = document.getElementById("room");

const fate = page === "open" ? followLink(document.getElementById("fate")) : null;

withKey(room, (me) => {
  // Whoever has a key sees the whole of it, and the one line above it would say it twice.
  fate?.end();
  return page === "queues" ? showQueues(me, room) : showHandoff(me, handoff, room);
});
