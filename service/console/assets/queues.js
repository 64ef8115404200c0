// All queues: how many wait and how long, what is open, the next one to take, and whether the rules have a broken edit.

import { Away, Refused, ask, base, move } from "./api.js";
import { callList, callsDone, callsLine, isCall } from "./calls.js";
import { button, clock, el, left, now, span, time } from "./dom.js";
import { floodList } from "./flood.js";
import { keyGone } from "./key.js";
import { keepLease } from "./lease.js";
import { has, say } from "./words.js";

const LOOK_MS = 3000;
const SELDOM = 4; // every so many looks: what changes in minutes is not asked for every three seconds
const PRESENCE_MS = 30_000;
const SHOWN_MAX = 50;
const HERE = "here";

export async function showQueues(me, room) {
  const fault = el("section", { id: "fault", "aria-live": "polite" });
  const alarm = el("p", { role: "alert", class: "problem" });
  const queues = el("section", { id: "queues" });
  const open = el("section", { id: "open" });
  const floods = el("section", { id: "floods" });
  const calls = el("section", { id: "calls" });
  const line = el("div", {});
  let titles = {};
  let looks = 0;
  const done = callsDone(() => titles, (error) => tell(error, say("away")));
  const may = me.role !== "manager";
  const all = may ? el("div", { class: "card actions" }, button(say("queues.next"), () => take("claim"), { class: "main", id: "next" }), here()) : "";
  room.replaceChildren(fault, el("h1", {}, say("queues")), alarm, all, queues, line, floods, open, calls, done);
  let busy = false;
  let seenAtMs = now();
  document.title = `${say("queues")} · Handrail`;

  await look();
  const looking = setInterval(look, LOOK_MS);
  document.addEventListener("visibilitychange", () => {
    looks = 0;
    look();
  });

  async function look() {
    if (document.hidden) return;
    try {
      const seldom = looks % SELDOM === 0;
      looks += 1;
      const [found, handoffs, health, flooded, owed] = await Promise.all([
        ask("GET", "queues"), ask("GET", `handoffs?limit=${SHOWN_MAX}`), rules(),
        seldom ? ask("GET", "floods") : null, seldom ? ask("GET", `calls?limit=${SHOWN_MAX}`) : null,
      ]);
      titles = Object.fromEntries(found.queues.map((each) => [each.name, each.title ?? each.name]));
      seenAtMs = now();
      if (!busy) alarm.textContent = "";
      put(queues, [queueList(found.queues)]);
      put(open, openList(handoffs));
      put(fault, banner(health));
      if (flooded) put(floods, floodList(flooded.floods, titles));
      if (owed) put(line, callsLine(owed));
      if (owed) put(calls, callList(owed, me, titles, may ? (id) => take(`handoffs/${encodeURIComponent(id)}/claim`) : null));
    } catch (error) {
      tell(error, say("not_fresh", { at: clock(seenAtMs) }));
    }
  }

  // Managers and admins are told each problem in full; an operator that there is one, and where.
  async function rules() {
    if (me.role === "operator") return (await ask("GET", "readyz").catch(() => null))?.rules ?? null;
    const active = await ask("GET", "rulesets/active");
    if (active.fault === null && active.lost.length) return { status: "fewer", since_at_ms: active.lost_since_at_ms, fact: "", problems: active.lost };
    if (active.fault === null) return null;
    const places = active.problems.map((each) => `${each.file}:${each.line}:${each.column}: ${each.code}: ${each.message}; ${each.hint}`);
    return { since_at_ms: active.fault_since_at_ms, fact: active.fault, problems: places };
  }

  function banner(found) {
    if (!found) return [];
    const fewer = found.status === "fewer";
    return [el("div", { class: fewer ? "banner" : "banner bad" }, el("p", {}, el("strong", {}, say(fewer ? "fewer" : "fault", { at: clock(found.since_at_ms) }))),
      found.problems.length ? el("ul", {}, ...found.problems.map((each) => el("li", {}, el("code", {}, each)))) : el("p", {}, found.fact))];
  }

  function queueList(found) {
    return el("ul", { class: "plain queues" }, ...found.map((queue) => {
      const oldest = queue.oldest_opened_at_ms === null ? "" : ` · ${say("queues.oldest", { span: span(now() - queue.oldest_opened_at_ms) })}`;
      const waiting = queue.waiting ? say("queues.waiting", { count: queue.waiting }) + oldest : say("queues.empty");
      const rest = [
        queue.leased ? say("queues.leased", { count: queue.leased }) : "",
        queue.grouped ? say("queues.grouped", { count: queue.grouped }) : "",
        queue.wait_ms ? say("queues.wait", { low: span(queue.wait_ms.p10), high: span(queue.wait_ms.p90) }) : "",
        queue.declared ? "" : say("queues.undeclared"),
      ].filter(Boolean).join(" · ");
      return el("li", { class: "card queue" },
        el("div", {}, el("h2", {}, queue.title ?? queue.name), el("p", { class: queue.waiting ? "" : "quiet" }, waiting), rest ? el("p", { class: "quiet" }, rest) : ""),
        may && queue.waiting && queue.declared ? button(say("queues.take"), () => take(`queues/${encodeURIComponent(queue.name)}/claim`), { "aria-label": `${say("queues.take")}: ${queue.title ?? queue.name}` }) : "");
    }));
  }

  function openList({ handoffs, cursor }) {
    if (!handoffs.length) return [el("p", { class: "quiet" }, say("queues.nothing"))];
    return [el("h2", {}, say("queues.open")), el("ul", { class: "plain" }, ...handoffs.map((handoff) => {
      const rules = isCall(handoff) ? say("kind.call") : handoff.reasons[0]?.rule_ids.join(", ") || handoff.kind;
      const due = handoff.state !== "waiting" || handoff.expires_at_ms === null ? "" : handoff.expires_at_ms > now() ? `${say("meta.deadline")} ${left(handoff.expires_at_ms)}` : say("meta.late");
      return el("li", {}, el("a", { class: "row", href: new URL(`console/handoffs/${encodeURIComponent(handoff.id)}`, base) },
        el("span", { class: `pill ${handoff.priority}` }, say(`priority.${handoff.priority}`)), el("span", {}, el("strong", {}, rules), ` · ${titles[handoff.queue] ?? handoff.queue} · `, time(handoff.opened_at_ms)),
        el("span", { class: "quiet" }, [due, flooded(handoff), who(handoff)].filter(Boolean).join(" · "))));
    })), cursor ? el("p", { class: "quiet" }, say("queues.more")) : ""];
  }

  function who(handoff) {
    if (handoff.holder) return handoff.holder === me.name ? say("meta.mine") : say("meta.has", { name: handoff.holder });
    if (handoff.reserved_for && handoff.reserved_until_at_ms > now()) {
      const at = clock(handoff.reserved_until_at_ms);
      return handoff.reserved_for === me.name ? say("meta.for_me", { at }) : say("meta.reserved", { name: handoff.reserved_for, at });
    }
    return handoff.acknowledged_by ? say("meta.comes", { name: handoff.acknowledged_by }) : "";
  }

  function flooded({ group, state }) {
    if (!group || state !== "waiting") return "";
    return group.leads ? say("flood.stands", { count: group.members ?? 0 }) : say("flood.behind");
  }

  async function take(path) {
    if (busy) return;
    busy = true;
    alarm.textContent = "";
    try {
      const got = await move(path);
      if (got === null) {
        alarm.textContent = say("queues.none");
        return;
      }
      keepLease(got);
      location.assign(new URL(`console/handoffs/${encodeURIComponent(got.handoff.id)}`, base));
    } catch (error) {
      tell(error, say("away"));
    } finally {
      busy = false;
    }
  }

  function tell(error, away) {
    if (error instanceof Away) {
      alarm.textContent = away;
    } else if (error instanceof Refused) {
      if (error.status === 401) {
        clearInterval(looking);
        return keyGone();
      }
      alarm.textContent = has(`problem.${error.code}`) ? say(`problem.${error.code}`) : `${error.detail}. ${error.hint}`;
    } else {
      throw error;
    }
  }
}

/** Return the switch by which somebody says that they are there; it is off until they say so in this tab. */
function here() {
  const box = el("input", { type: "checkbox", id: "here" });
  box.checked = sessionStorage.getItem(HERE) === "yes";
  const beat = (available) => ask("POST", "presence", { available }).catch(() => {});
  box.addEventListener("change", () => {
    sessionStorage.setItem(HERE, box.checked ? "yes" : "no");
    beat(box.checked);
  });
  setInterval(() => box.checked && beat(true), PRESENCE_MS);
  if (box.checked) beat(true);
  return el("label", { class: "choice", for: "here" }, box, el("span", {}, say("queues.here")));
}

/** Draw anew only what has changed: a finger on its way to a button must find it where it was. */
function put(place, made) {
  const holder = el("div", {}, ...made);
  if (place.firstChild && place.firstChild.isEqualNode(holder)) return;
  const at = document.activeElement;
  const label = place.contains(at) ? at.getAttribute("aria-label") ?? at.getAttribute("href") : null;
  place.replaceChildren(holder);
  if (label) [...place.querySelectorAll("a, button")].find((each) => [each.getAttribute("aria-label"), each.getAttribute("href")].includes(label))?.focus();
}
