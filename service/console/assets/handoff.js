// The page of one handoff: it reads, shows, follows what happens, and lets whoever has it work. Its parts are elsewhere.

import { Away, Refused, Unfit, ask, base, follow, move } from "./api.js";
import { callLeft, isCall } from "./calls.js";
import { button, clock, el, now } from "./dom.js";
import { asideOf, keepDraft } from "./drafts.js";
import { floodOf } from "./flood.js";
import { beforeForgetting, keyGone } from "./key.js";
import { lease } from "./lease.js";
import * as story from "./story.js";
import { forms } from "./work.js";
import { has, say } from "./words.js";

const TICK_MS = 1000;
const GONE = ["resolved", "handed_back", "expired"];

export async function showHandoff(me, id, room) {
  const path = `handoffs/${encodeURIComponent(id)}`;
  const parts = Object.fromEntries(
    ["head", "task", "talk", "take", "why", "drafts", "more"].map((name) => [name, el("section", { id: name, tabindex: name === "take" ? "-1" : null })]),
  );
  const said = el("p", { class: "said-now", role: "status", "aria-live": "polite" });
  const alarm = el("div", { role: "alert" });
  const stale = el("p", { class: "banner stale", hidden: true });
  const lost = el("div", {});
  let handoff = null;
  let packet = null;
  let drafts = [];
  let work = null;
  let keeper = null;
  let hadIt = false;
  let busy = false;
  let drawn = "";
  let wasKept = false;
  let stream = null;
  ({ handoff, packet, drafts } = await read());
  const aside = asideOf();
  const mine = lease(id, { lost: refused, renewed: changed, over: again, announce });
  const flood = floodOf(path, me, { doing, grouped, answered, problem, token: mine.token }, () => keeper?.changed());

  // What must be seen wherever one reads or writes stays at the top of the screen.
  const pinned = el("div", { class: "pinned" }, stale, alarm, lost, mine.bar);
  room.replaceChildren(parts.head, pinned,
    el("div", { class: "columns" },
      el("div", { class: "left" }, parts.task, flood.place, parts.talk, parts.take, el("section", { id: "work", tabindex: "-1" })),
      el("div", { class: "right" }, parts.why, parts.drafts, parts.more)), said);
  const place = document.getElementById("work");
  hadIt = ours();
  draw();
  // The page comes from a reload: whether the lease still holds only the service knows.
  if (hadIt && handoff.state === "leased") mine.renew();
  stream = GONE.includes(handoff.state) ? null : follow(`${path}/events`, heard, connected);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return keeper?.leave();
    stream?.renew();
    again();
  });
  window.addEventListener("pagehide", () => keeper?.leave());
  setInterval(second, TICK_MS);
  beforeForgetting(async () => keeper?.flush());

  async function read() {
    try {
      return await ask("GET", `${path}/packet`);
    } catch (error) {
      if (!(error instanceof Refused) || error.status === 401) throw error;
      throw Object.assign(error, { said: sentence(error) });
    }
  }

  /** Read everything again; what is being written is not touched. */
  async function again() {
    try {
      const seen = await read();
      // An answer that was on its way when something moved is older than what is known.
      if (seen.handoff.version < handoff.version) return;
      ({ handoff, packet, drafts } = seen);
      draw();
    } catch (error) {
      problem(error);
    }
  }

  function heard(event, data) {
    if (event === "key gone") {
      keyGone();
    } else if (event === "message") {
      announce(say("talk.new"));
      again();
    } else if (event === "handoff") {
      changed(data);
    }
  }

  function connected(whether) {
    // What was written while nobody listened is read once somebody does.
    if (whether && !stale.hidden) again();
    stale.hidden = whether || GONE.includes(handoff.state);
    if (!whether) stale.textContent = say("not_fresh", { at: clock(Date.now()) });
  }

  function changed(seen) {
    if (seen.version < handoff.version) return;
    const joined = seen.reasons.length !== handoff.reasons.length;
    const ended = GONE.includes(seen.state) && !GONE.includes(handoff.state);
    // What is told of a move and of a change says nothing of how many are in a flood's group.
    if (seen.group && seen.group.members === null && handoff.group?.leads === seen.group.leads) seen.group = handoff.group;
    handoff = seen;
    draw();
    if (ended) stream?.end();
    if (joined || ended) again();
  }

  function grouped(group) {
    handoff = { ...handoff, group };
    draw();
  }

  /** Put what all others were answered with into the form for this one, where nothing else is written. */
  function answered({ action, outcome, text }) {
    work?.restore({ action, outcome, text });
    keeper?.changed();
  }

  function ours() {
    return mine.holds(handoff) && handoff.holder === me.name && !GONE.includes(handoff.state);
  }

  function draw() {
    if (mine.token() && !ours()) mine.drop();
    const have = ours();
    if (have) hadIt = true;
    if (have && !work) begin();
    else if (work && !GONE.includes(handoff.state)) follows(have);
    // A section is drawn anew only where it has changed: who reads or selects a text in it is not disturbed.
    const seen = JSON.stringify([handoff, packet, drafts, have, kept(), aside.entries()]);
    if (seen !== drawn) {
      parts.head.replaceChildren(...story.head(handoff, packet, me));
      parts.task.replaceChildren(...story.task(handoff, packet));
      const unfolded = parts.talk.querySelector("details")?.open;
      parts.talk.replaceChildren(el("h2", {}, say("talk")), ...story.talk(handoff, packet, me));
      if (unfolded) parts.talk.querySelector("details").open = true;
      parts.why.replaceChildren(...story.why(packet));
      parts.drafts.replaceChildren(...story.drafts(aside.entries(), drafts, me, have && !isCall(handoff) ? use : null));
      const open = [...parts.more.querySelectorAll("details")].map((each) => each.open && each.firstChild.textContent);
      parts.more.replaceChildren(...story.more(handoff, packet));
      for (const each of parts.more.querySelectorAll("details")) if (open.includes(each.firstChild.textContent)) each.open = true;
      parts.take.replaceChildren(...taking());
      drawn = seen;
    }
    work?.enable(have && !busy);
    work?.stands(handoff.queue);
    flood.show(handoff, have);
    flood.enable(!busy);
    place.hidden = !have && !hadIt;
    work?.held(handoff.state === "held");
    mine.show(handoff, have);
    lost.replaceChildren(...missing(have));
    document.title = `${packet.why[0]?.rules[0]?.why ?? handoff.queue} · Handrail`;
    second();
  }

  /** Return whether only somebody else may take it at this moment. */
  function kept() {
    return handoff.state === "waiting" && Boolean(handoff.reserved_for) && handoff.reserved_for !== me.name && handoff.reserved_until_at_ms > now();
  }

  function second() {
    if (wasKept !== kept()) {
      wasKept = kept();
      draw();
    }
    const times = document.getElementById("times");
    if (times) story.tick(times, handoff);
  }

  /** Return what stands where the work would be while somebody else has it, or nobody. */
  function taking() {
    const all = el("a", { class: "next", href: new URL("console", base) }, say("all"));
    if (GONE.includes(handoff.state)) return [el("p", { class: "banner" }, story.ending(handoff), " ", callLeft(handoff), " ", all)];
    if (ours()) return [];
    if (handoff.holder === me.name) {
      return [el("div", { class: "card actions" }, work ? "" : el("p", {}, say("mode.elsewhere")), button(say("take.here"), claim, { class: "main", id: "claim" }))];
    }
    if (handoff.holder) return [el("p", { class: "banner" }, say("mode.theirs", { name: handoff.holder }), " ", all)];
    const may = me.role !== "manager";
    if (kept()) {
      const told = { name: handoff.reserved_for, at: clock(handoff.reserved_until_at_ms) };
      return [el("p", { class: "banner" }, say("take.kept", told), " ", all)];
    }
    const known = handoff.acknowledged_by === me.name;
    return [el("div", { class: "card actions" },
      may ? button(hadIt ? say("take.again") : say("take"), claim, { class: "main", id: "claim" }) : el("p", {}, say("take.manager")),
      known ? el("p", { class: "quiet" }, say("take.known")) : button(say("take.know"), () => moved("acknowledge")),
      may && handoff.reserved_for === me.name ? button(say("take.decline"), () => moved("decline")) : "")];
  }

  /** Return the sentence for somebody who had it and has it no longer. */
  function missing(have) {
    if (have || !hadIt || !work) return [];
    const elsewhere = handoff.holder === me.name ? "lost.elsewhere" : "lost.theirs";
    const name = GONE.includes(handoff.state) ? "lost.ended" : handoff.holder ? elsewhere : "lost.waiting";
    if (name === "lost.ended" && handoff.resolution?.by === me.name) return [];
    return [el("p", { class: "banner bad", role: "alert", id: "lost" }, say(name, { name: handoff.holder }))];
  }

  /** Build the forms, and put back what was being written. */
  function begin() {
    const act = { reply, end, hold, pass, problem, release: () => moved("release", {}, say("release.done")) };
    work = forms(me, act, () => keeper.changed(), aside.put);
    work.asks({ packet, handoff });
    keeper = keepDraft(id, me, { parts: [work, flood], aside, tell: work.told, alone: ours, look: async () => (await read()).drafts, met: draw });
    const refusedOnce = drafts.find((each) => each.by === me.name && each.refused);
    if (!keeper.goOn(drafts) && refusedOnce) {
      const { verb, text, action } = refusedOnce.fields;
      work.restore(verb === "reply" ? { reply: text } : { text, action });
    }
    place.replaceChildren(work.place);
  }

  /** Ask in the forms what the packet asks now, and say what has to be chosen again; `taken`: with the newest draft. */
  function follows(have, taken = false) {
    const anew = work.asks({ packet, handoff });
    if (!anew) return;
    const beside = aside.entries().some((each) => each.why === "draft") && ` ${say("aside.kept")}`;
    if (have) alarm.replaceChildren(el("p", { class: "banner" }, say(taken ? "task.changed" : anew), beside));
    keeper.changed();
  }

  /** Use what stands beside the work. */
  function use(entry) {
    work.use(entry);
    aside.drop(entry);
    keeper.changed();
    draw();
  }

  async function claim() {
    await doing(async () => {
      // What waits here to be kept must not take the place of what another tab has kept.
      await keeper?.settled();
      // What is in our hands already is taken again with a lease of its own: the one before counts no more.
      const got = await move(`${path}/claim`, handoff.holder === me.name ? { again: true } : {});
      mine.take(got);
      ({ handoff, packet, drafts } = got);
      if (work) {
        follows(true, true);
        keeper.goOn(drafts);
      }
      draw();
      announce(say("taken"));
      // Where the button was there is nothing to focus any more; a field would open a telephone's keyboard over the story.
      place.focus({ preventScroll: true });
    });
  }

  async function reply(text) {
    await withToken("reply", { text }, () => work.replied(text), say("reply.sent"));
  }

  async function end(form) {
    try {
      const { verb, body } = form();
      await withToken(verb, body, null, say("end.done"));
    } catch (error) {
      problem(error);
    }
  }

  async function hold(reason, untilAtMs) {
    const body = { until_at_ms: Math.round(untilAtMs), ...(reason ? { reason } : {}) };
    await withToken("hold", body, null, say("hold.done", { at: clock(untilAtMs) }));
  }

  /** Hand it on, and return whether that was done. What is written goes along: it is on the server before anybody is told,
  and where it cannot be kept there nothing is handed on. */
  async function pass(form, queue) {
    try {
      const body = form();
      const told = (seen) => (body.operator ? say("pass.done_person", { name: body.operator, at: clock(seen.reserved_until_at_ms) }) : say("pass.done_queue", { queue }));
      return await withToken("transfer", body, null, told, () => keeper.flush());
    } catch (error) {
      problem(error);
      return false;
    }
  }

  function moved(verb, body = {}, done = "") {
    return verb === "release" ? withToken(verb, body, null, done) : doing(async () => changed(await move(`${path}/${verb}`, body)));
  }

  function withToken(verb, body, after, done, first = () => keeper.settled()) {
    return doing(async () => {
      await first();
      const seen = await move(`${path}/${verb}`, { ...body, token: mine.token() });
      after?.();
      if (["release", "transfer", "resolve", "hand-back"].includes(verb)) {
        mine.drop();
        hadIt = false;
      }
      changed(seen);
      announce(typeof done === "function" ? done(seen) : done);
      // With what was sent the service has forgotten the draft: what else is written is kept anew.
      if (["resolve", "hand-back"].includes(verb)) {
        keeper.done();
        // The forms are gone; what became of it stands further up.
        parts.take.focus();
        return;
      }
      keeper.forgotten();
    });
  }

  /** Do one thing at a time: a second tap while the first is under way does nothing. Returns whether it was done. */
  async function doing(act) {
    if (busy) return false;
    busy = true;
    alarm.replaceChildren();
    work?.enable(false);
    flood.enable(false);
    const claimer = document.getElementById("claim");
    if (claimer) claimer.disabled = true;
    try {
      await act();
      return true;
    } catch (error) {
      await refused(error);
      return false;
    } finally {
      busy = false;
      work?.enable(ours());
      flood.enable(true);
      if (claimer) claimer.disabled = false;
    }
  }

  /** Say what was refused and what to do next, and look how things stand now. */
  async function refused(error) {
    if (error.code === "lease_lost") mine.drop();
    // Who was quicker, or for whom it is kept, is read before it is said.
    if (error.code === "already_claimed") await again();
    problem(error);
    if (error instanceof Refused && error.code !== "already_claimed") again();
    // A text that came too late is kept by the service; what stands in the fields is kept as well.
    keeper?.changed();
  }

  function problem(error) {
    if (error instanceof Refused && error.status === 401) {
      stream?.end();
      return keyGone();
    }
    const known = error instanceof Refused || error instanceof Away || error instanceof Unfit;
    if (!known) throw error;
    // A lost lease is said above the work for as long as it is lost.
    alarm.replaceChildren(error.code === "lease_lost" ? "" : el("p", { class: "banner bad" }, sentence(error)));
  }

  function sentence(error) {
    if (error instanceof Away) return say("away");
    if (error instanceof Unfit) return error.message;
    if (error.said) return error.said;
    if (error.code === "already_claimed" && !handoff?.holder && handoff?.reserved_for) {
      return say("problem.reserved", { name: handoff.reserved_for, at: clock(handoff.reserved_until_at_ms) });
    }
    const name = `problem.${error.code}`;
    return has(name) ? say(name, { name: handoff?.holder ?? "?" }) : `${error.detail}. ${error.hint}`;
  }

  function announce(text) {
    said.replaceChildren(text ? el("span", {}, text) : "");
  }
}
