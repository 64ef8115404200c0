// The lease of this tab: its token, how long it still is, the warning before its end, and the heartbeat of a person.
// It is renewed for whoever types or taps, not for a page that somebody left open: that one is for others to take.

import { Away, Refused, ask } from "./api.js";
import { button, el, left, now } from "./dom.js";
import { say } from "./words.js";

const RENEW_BELOW = 0.6; // of the lease: early enough for a broken connection to come back
const TICK_MS = 1000;

export function lease(handoffId, { lost, renewed, over, announce }) {
  const name = `lease ${handoffId}`;
  const path = `handoffs/${encodeURIComponent(handoffId)}`;
  const shown = el("strong", { role: "timer", "aria-live": "off" });
  const label = el("span", {});
  const keep = button(say("lease.keep"), () => act("renew", () => announce(say("lease.kept"))));
  const resume = button(say("lease.resume"), () => act("resume"));
  const warning = el("p", { class: "warn", role: "alert" });
  const bar = el("section", { class: "lease", hidden: true }, el("p", {}, label, " ", shown), keep, resume, warning);
  let handoff = null;
  let active = false;
  let fullMs = 0;
  let busy = false;
  let warned = false;

  for (const event of ["input", "keydown", "pointerdown"]) {
    document.addEventListener(event, () => {
      active = true;
    }, { passive: true });
  }
  setInterval(tick, TICK_MS);

  function tick() {
    if (!handoff || bar.hidden) return;
    const leftMs = handoff.lease_expires_at_ms - now();
    shown.textContent = left(handoff.lease_expires_at_ms);
    const near = now() >= handoff.lease_warn_at_ms;
    bar.classList.toggle("near", near);
    if (near && !warned) warning.textContent = say(handoff.state === "held" ? "lease.warn_held" : "lease.warn");
    if (!near) warning.textContent = "";
    warned = near;
    // What nobody has kept is not kept by the page: it looks whose it is now.
    if (leftMs <= 0) over();
    else if (active && handoff.state === "leased" && leftMs < RENEW_BELOW * fullMs) act("renew");
  }

  async function act(verb, done = () => {}) {
    if (busy) return;
    busy = true;
    active = false;
    try {
      // Each heartbeat is one of its own: answered again from before, it would keep nothing.
      renewed(await ask("POST", `${path}/${verb}`, { token: sessionStorage.getItem(name) }));
      done();
    } catch (error) {
      if (error instanceof Refused) lost(error);
      else if (!(error instanceof Away)) throw error;
    } finally {
      busy = false;
    }
  }

  return {
    bar,
    token: () => sessionStorage.getItem(name),
    /** Say whether this tab's token is that of the lease as the handoff has it: not if another tab has gone on since. */
    holds: (seen) => {
      const version = sessionStorage.getItem(`${name} version`);
      return Boolean(sessionStorage.getItem(name)) && (version === null || seen.lease_version === null || Number(version) >= seen.lease_version);
    },
    take: (got) => keepLease(got),
    drop: () => dropLease(handoffId),
    renew: () => act("renew"),
    /** Show the lease as the handoff has it now; none where it is not ours. */
    show: (seen, ours) => {
      bar.hidden = !ours;
      if (!ours) {
        handoff = null;
        return;
      }
      if (handoff?.lease_expires_at_ms !== seen.lease_expires_at_ms) fullMs = seen.lease_expires_at_ms - now();
      handoff = seen;
      const held = seen.state === "held";
      label.textContent = say(held ? "lease.held" : "lease");
      keep.hidden = held;
      resume.hidden = !held;
      tick();
    },
  };
}

export function keepLease({ handoff, lease }) {
  sessionStorage.setItem(`lease ${handoff.id}`, lease.token);
  sessionStorage.setItem(`lease ${handoff.id} version`, handoff.lease_version);
}

function dropLease(handoffId) {
  sessionStorage.removeItem(`lease ${handoffId}`);
  sessionStorage.removeItem(`lease ${handoffId} version`);
}
