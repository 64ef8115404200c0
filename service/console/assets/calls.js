// Calls that customers were promised: what one is, in words, and the list of those that are owed and those that were made.

import { ask, base } from "./api.js";
import { button, clock, el, now, span, time } from "./dom.js";
import { say } from "./words.js";

const DONE_SHOWN = 20;

function page(handoffId) {
  return new URL(`console/handoffs/${encodeURIComponent(handoffId)}`, base);
}

/** Return whether a handoff is a call and nothing else: nobody waits in the conversation. */
export function isCall(handoff) {
  return handoff.call !== null && handoff.kind === "review";
}

/** Return by when it has to be made, null where nobody said so. */
function due(call) {
  if (!call.due_at_ms) return null;
  const over = call.due_at_ms <= now();
  return el("span", { class: over ? "late" : null }, say(over ? "call.overdue" : "call.due", { at: clock(call.due_at_ms) }));
}

/** Return what is to be done of a call: whom, since when it is promised and in which words, and how it came about. */
export function callTask(handoff) {
  const { call } = handoff;
  const lines = [
    call.customer_id === null ? el("span", {}, say("call.nameless")) : el("span", {}, `${say("call.whom")} `, el("code", {}, call.customer_id)),
    el("span", {}, `${say("call.conversation")} `, el("code", {}, handoff.conversation_id)),
    el("span", {}, say("call.promised", { at: clock(call.promised_at_ms) }),
      call.say ? ` ${say("call.words")} ` : "", call.say ? el("q", { dir: "auto" }, call.say) : ""),
    due(call) ?? el("span", {}, say("call.when")),
    call.after ? el("span", {}, `${say("call.after")} `, el("a", { href: page(call.after) }, say("call.before"))) : el("span", {}, say("call.busy")),
    el("span", {}, say("call.gone_on")),
  ];
  return [el("h2", {}, say("task")), el("p", {}, el("strong", {}, say("call.task"))), el("ul", {}, ...lines.map((line) => el("li", {}, line)))];
}

/** Return the sentence about a call that is owed besides, where the customer is also spoken to otherwise. */
export function callBesides({ call }) {
  return el("p", {}, say("call.besides", { at: clock(call.promised_at_ms) }), call.say ? ` ${say("call.words")} ` : "",
    call.say ? el("q", { dir: "auto" }, call.say) : "");
}

/** Return the way to the call that a handoff has left, nothing where it has left none. */
export function callLeft(handoff) {
  return handoff.call_id ? el("a", { class: "next", href: page(handoff.call_id) }, say("call.left")) : "";
}

/** Return the line that leads down to the calls, nothing while none is owed. */
export function callsLine({ calls, cursor }) {
  if (!calls.length) return [];
  const about = { count: cursor ? `${calls.length}+` : calls.length, span: span(now() - calls[0].promised_at_ms) };
  return [el("p", {}, el("a", { href: "#calls" }, say("calls.line", about)))];
}

/** Return the calls that are owed, the longest promised first; `take` claims one of them, null for who may not. */
export function callList({ calls, cursor }, me, titles, take) {
  if (!calls.length) return [];
  return [el("h2", {}, say("calls")), el("p", { class: "quiet" }, say("calls.why")),
    el("ul", { class: "plain" }, ...calls.map((call) => el("li", { class: "member" },
      el("a", { class: "row", href: page(call.handoff_id) },
        el("span", { class: `pill ${call.priority}` }, span(now() - call.promised_at_ms)),
        el("span", {}, el("strong", {}, call.customer_id ?? call.conversation_id), ` · ${titles[call.queue] ?? call.queue} · `, time(call.promised_at_ms)),
        due(call), call.say ? el("q", { dir: "auto", class: "quiet" }, call.say) : "",
        el("span", { class: "quiet" }, who(call, me))),
      take && call.state === "waiting"
        ? button(say("calls.take"), () => take(call.handoff_id), { "aria-label": `${say("calls.take")}: ${call.customer_id ?? call.conversation_id}` }) : ""))),
    cursor ? el("p", { class: "quiet" }, say("queues.more")) : ""];
}

function who(call, me) {
  if (!call.holder) return say("calls.nobody");
  return call.holder === me.name ? say("meta.mine") : say("meta.has", { name: call.holder });
}

/** Return the calls that were ended lately, read when somebody unfolds them. */
export function callsDone(titles, problem) {
  const list = el("ul", {});
  const place = el("details", { id: "calls-done" }, el("summary", {}, say("calls.done")), list);
  place.addEventListener("toggle", async () => {
    if (!place.open) return;
    try {
      const { calls } = await ask("GET", `calls?done=true&limit=${DONE_SHOWN}`);
      list.replaceChildren(...(calls.length ? calls.map((call) => el("li", {}, el("a", { href: page(call.handoff_id) }, call.customer_id ?? call.conversation_id),
        ` · ${titles()[call.queue] ?? call.queue} · `, time(call.ended_at_ms), ` · ${call.ended_by ?? ""}`, call.outcome ? ` · ${say("end.outcome")} ${say(`outcome.${call.outcome}`)}` : ""))
        : [el("li", {}, say("calls.none"))]));
    } catch (error) {
      problem(error);
    }
  });
  return place;
}
