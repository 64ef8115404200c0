// What a link shows without a key: what became of the handoff, kept fresh. It asks for no more, and is told no more.

import { Refused, ask } from "./api.js";
import { clock, el, now, span } from "./dom.js";
import { say } from "./words.js";

const LOOK_MS = 3000;
const WAITING = ["waiting", "acknowledged"];

export function followLink(place) {
  const openedAtMs = Number(place.dataset.openedAtMs);
  const heading = document.getElementById("fate-now");
  const since = document.getElementById("fate-since");
  const stale = el("p", { class: "problem" });
  place.append(stale);
  let state = null;
  let seenAtMs = now();
  let ended = false;

  function show() {
    const waits = state === null || WAITING.includes(state);
    since.textContent = waits
      ? say("since", { at: clock(openedAtMs), span: span(now() - openedAtMs) })
      : say("asked_at", { at: clock(openedAtMs) });
  }

  async function look() {
    if (ended || document.hidden) return;
    try {
      // The same address, asked for as JSON: the signature in it is all that is shown.
      const found = await ask("GET", location.pathname.split("/").slice(-2).join("/") + location.search);
      seenAtMs = now();
      stale.textContent = "";
      if (found.state !== state) heading.textContent = say(`now.${found.state}`);
      state = found.state;
    } catch (error) {
      stale.textContent = error instanceof Refused ? `${error.detail}. ${error.hint}.` : say("not_fresh", { at: clock(seenAtMs) });
    }
    if (!ended) show();
  }

  const looking = setInterval(look, LOOK_MS);
  document.addEventListener("visibilitychange", look);
  show();
  look();
  return {
    end: () => {
      ended = true;
      clearInterval(looking);
      place.hidden = true;
    },
  };
}
