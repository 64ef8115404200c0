// What a handoff is about: the packet and the handoff as elements. It shows; what can be done with it is elsewhere.

import { callBesides, callTask, isCall } from "./calls.js";
import { button, clock, el, left, now, span, time, words } from "./dom.js";
import { listed } from "./drafts.js";
import { has, language, say } from "./words.js";

const SOON_MS = 120_000;
// As many as a telephone shows in three screens: what was said before is folded, so that the reply is never far.
const LINES_SHOWN = 14;

/** Return the top: why it is here, where it waits, and the deadlines that count down. */
export function head(handoff, packet, me) {
  const reason = packet.why[0]?.rules[0]?.why ?? say(`kind.${handoff.kind}`);
  const facts = [
    el("span", { class: `pill ${handoff.priority}` }, say(`priority.${handoff.priority}`)),
    el("span", { class: "pill" }, say(isCall(handoff) ? "kind.call" : `kind.${handoff.kind}`)),
    el("span", { class: "pill" }, handoff.queue),
    handoff.locale ? el("span", { class: "pill" }, say("meta.language", { language: spoken(handoff.locale) })) : null,
  ];
  return [
    packet.drill ? el("p", { class: "banner" }, say("drill")) : null,
    handoff.group?.leads && handoff.group.members ? el("p", { class: "banner" }, say("flood", { count: handoff.group.members })) : null,
    el("h1", {}, reason),
    el("p", { class: "pills" }, ...facts),
    el("p", { id: "times", class: "times" }),
    el("p", { id: "who-has", class: "quiet" }, whoHas(handoff, me)),
  ].filter(Boolean);
}

function spoken(locale) {
  try {
    return new Intl.DisplayNames(language, { type: "language" }).of(locale.split(/[-_]/)[0]) ?? locale;
  } catch {
    return locale;
  }
}

function whoHas(handoff, me) {
  if (handoff.holder === me.name) return "";
  if (handoff.holder) return say("meta.has", { name: handoff.holder });
  if (handoff.state !== "waiting") return "";
  if (handoff.reserved_for) {
    const at = clock(handoff.reserved_until_at_ms);
    return handoff.reserved_for === me.name ? say("meta.for_me", { at }) : say("meta.reserved", { name: handoff.reserved_for, at });
  }
  return handoff.acknowledged_by ? say("meta.comes", { name: handoff.acknowledged_by }) : "";
}

/** Write the deadlines anew; it is called every second. */
export function tick(place, handoff) {
  const parts = [];
  if (handoff.state === "waiting") {
    parts.push(el("span", {}, say("since", { at: clock(handoff.opened_at_ms), span: span(now() - handoff.opened_at_ms) })));
    if (handoff.expires_at_ms === null) parts.push(el("span", {}, say("meta.none")));
    else parts.push(...deadline(handoff.expires_at_ms, "meta.deadline", "meta.late"));
  } else {
    parts.push(el("span", {}, say("asked_at", { at: clock(handoff.opened_at_ms) })));
  }
  if (handoff.resolve_by_ms !== null && handoff.ended_at_ms === null) {
    parts.push(...deadline(handoff.resolve_by_ms, "meta.resolve", "meta.resolve_late"));
  }
  place.replaceChildren(...parts.flatMap((part, at) => (at ? [" · ", part] : [part])));
}

function deadline(atMs, name, late) {
  const leftMs = atMs - now();
  if (leftMs <= 0) return [el("strong", { class: "late" }, say(late))];
  const shown = el("strong", { role: "timer", class: leftMs < SOON_MS ? "late" : "" }, left(atMs));
  return [el("span", {}, `${say(name)} `, shown)];
}

/** Return what is asked of the operator, with the draft that was held back in full. */
export function task(handoff, packet) {
  if (isCall(handoff)) return callTask(handoff);
  const { draft } = packet.task;
  const held = [];
  // Of a conversation that a person takes over, the reply that was not sent stands in the conversation.
  if (draft && ((draft.reply && packet.task.kind === "hold") || draft.tool_calls.length)) {
    held.push(el("h3", {}, say("draft")));
    if (draft.reply) held.push(el("blockquote", {}, words(draft.reply)));
    for (const call of draft.tool_calls) {
      const amount = call.amount_usd === null ? "" : ` · ${call.amount_usd} USD`;
      held.push(
        el("p", {}, `${say("draft.call")} `, el("code", {}, call.name), amount, call.write ? ` · ${say("write")}` : ""),
        call.args ? el("pre", {}, words(call.args)) : "",
      );
    }
  }
  const { verdict, queue, say: told } = handoff.on_timeout;
  const what = say(`timeout.${verdict}`, { queue: queue ?? "" });
  const late = handoff.ended_at_ms === null && handoff.state === "waiting" && handoff.expires_at_ms !== null && [
    el("p", { class: "quiet" }, say("timeout", { what }), told ? ` ${say("timeout.says")} ` : "", told ? el("q", { dir: "auto" }, told) : ""),
  ];
  const known = `task.${packet.task.kind}`;
  return [
    el("h2", {}, say("task")),
    el("p", {}, has(known) ? say(known) : packet.task.sentence),
    handoff.call ? callBesides(handoff) : "",
    ...held,
    ...(late || []),
  ];
}

/** Return why: the rules that fired, each with its checks and the values they met. */
export function why(packet) {
  const rules = packet.why.flatMap((each) => each.rules);
  return [
    el("h2", {}, say("why")),
    el("ul", { class: "plain" }, ...rules.map((rule) =>
      el("li", {}, el("strong", {}, rule.why), " ", el("code", {}, rule.rule_id),
        el("ul", {}, ...rule.checks.map((check) => el("li", {}, check.sentence)))))),
  ];
}

/** Return the conversation: the turns and the operators' replies in the order in which they came. */
export function talk(handoff, packet, me) {
  const lines = [];
  for (const turn of packet.transcript) {
    if (turn.message) lines.push({ at: turn.at_ms, who: "customer", text: turn.message });
    for (const call of turn.calls) lines.push({ at: turn.at_ms, who: "call", text: call });
    if (turn.reply) lines.push({ at: turn.at_ms, who: "agent", text: turn.reply, unsent: !turn.sent });
  }
  for (const reply of handoff.replies) lines.push({ at: reply.at_ms, who: "operator", text: reply.text, by: reply.by });
  // A stable sort: what belongs to one turn keeps its order.
  lines.sort((one, other) => one.at - other.at);
  if (!lines.length) return [el("p", { class: "quiet" }, say("talk.empty"))];
  const earlier = lines.length > LINES_SHOWN + 2 ? lines.splice(0, lines.length - LINES_SHOWN) : [];
  const list = (some) => el("ol", { class: "talk" }, ...some.map((line) => said(line, me)));
  return [
    earlier.length ? el("details", { class: "earlier" }, el("summary", {}, say("talk.earlier", { count: earlier.length })), list(earlier)) : "",
    list(lines),
    packet.masks?.length ? el("p", { class: "quiet" }, say("talk.masked")) : "",
  ];
}

function said(line, me) {
  if (line.who === "call") return el("li", { class: "call" }, el("code", {}, line.text));
  const by = line.who === "operator" ? (line.by === me.name ? say("talk.you") : line.by) : say(`talk.${line.who}`);
  const mark = line.unsent ? el("em", { class: "unsent" }, ` · ${say("talk.unsent")}`) : "";
  const text = line.who === "operator" ? el("span", { class: "words", dir: "auto" }, line.text) : words(line.text);
  return el("li", { class: `said ${line.who}${line.unsent ? " held" : ""}` }, el("small", {}, by, " · ", time(line.at), mark), text);
}

/** Return the rest, folded: tools, promises, ids, topics, the chain, what was cut. */
export function more(handoff, packet) {
  const parts = [
    fold(say("tried"), packet.tried, (each) => el("li", {},
      el("code", {}, each.name), ` · ${say(`status.${each.status}`)}`, each.write ? ` · ${say("write")}` : "",
      each.args ? el("pre", {}, words(each.args)) : "", each.error ? el("p", { class: "late" }, words(each.error)) : "")),
    fold(say("promises"), packet.promises, (each) => el("li", {},
      words(each.sentence), each.sent ? "" : el("em", {}, ` · ${say("promises.unsent")}`), each.conditional ? ` · ${say("promises.if")}` : "")),
    fold(say("entities"), packet.entities, (each) => el("li", {}, `${each.kind}: `, words(each.value))),
    fold(say("found"), packet.found, (each) => el("li", {},
      el("strong", {}, each.topic), each.excerpt ? ": " : "", each.excerpt ? words(each.excerpt) : "")),
    chain(packet.chain),
    fold(say("cut"), packet.cut, (each) => el("li", {}, each)),
    fold(say("assigned"), handoff.assignments, (each) => el("li", {}, `${each.operator}, `, time(each.at_ms), `: ${each.why}`)),
  ];
  return [...parts.filter(Boolean), el("p", { class: "quiet" }, el("code", {}, handoff.id), " · ", el("code", {}, handoff.conversation_id))];
}

function chain(found) {
  if (!found) return null;
  const broke = found.broke?.station;
  const station = (each) => el("li", {},
    el("strong", {}, each.agent ?? say("chain.unknown")), ` · ${say("chain.turns", { count: each.turns })}`,
    each.tool_errors.length ? ` · ${each.tool_errors.join(", ")}` : "",
    each.place === broke ? el("strong", { class: "late" }, ` · ${say("chain.broke")}`) : "");
  return el("details", { open: true }, el("summary", {}, say("chain")),
    el("ol", {}, ...found.stations.map(station)),
    el("ul", {}, ...[...found.disagreements, ...found.odd].map((each) => el("li", {}, words(each)))));
}

function fold(title, rows, row) {
  if (!rows.length) return null;
  return el("details", {}, el("summary", {}, `${title} (${rows.length})`), el("ul", {}, ...rows.map(row)));
}

/** Return what of one's own was put aside, what others were writing, and what was refused; `use` is given a text that the
user wants to go on with: its name, its words, and where it stood. */
export function drafts(aside, all, me, use) {
  const shown = all.filter((each) => each.refused || each.by !== me.name);
  if (!shown.length && !aside.length) return [];
  const row = (said, texts) => el("li", {}, el("small", {}, said),
    ...texts.map((each) => el("blockquote", {}, el("span", { class: "words", dir: "auto" }, each.text),
      use ? el("div", {}, button(say("drafts.use"), () => use(each))) : "")));
  return [el("h2", {}, say("drafts")), el("ul", { class: "plain" }, ...aside.map((each) => row(say(each.why === "draft" ? "aside.draft" : "aside.tab"), [each])),
    ...shown.map((each) => row(say(each.refused ? "drafts.refused" : "drafts.by", { name: each.by, at: clock(each.at_ms) }), textsOf(each.fields))))];
}

function textsOf(fields) {
  const sent = fields.edited?.tool_call ? JSON.stringify(fields.edited.tool_call.args, null, 2) : fields.edited?.reply;
  const found = Object.entries({ ...fields, edited: sent ?? fields.edited }).filter(([name]) => ["reply", "text", "edited", "all_text"].includes(name));
  return listed([...found.map(([, text]) => ({ name: "reply", text })), ...listed(fields.edited_beside), ...listed(fields.aside)]);
}

/** Return how it ended. */
export function ending(handoff) {
  const { resolution } = handoff;
  if (!resolution) return say("now.expired");
  const at = clock(resolution.at_ms);
  if (resolution.action === "timeout") return say("ended.expired", { at });
  const how = isCall(handoff) && has(`call.${resolution.action}`) ? `call.${resolution.action}` : `action.${resolution.action}`;
  return say("ended", { action: say(how).toLowerCase(), name: resolution.by, at });
}
