// The forms of whoever has the handoff: reply, end, hold, put back. They are built once, so that nothing typed is redrawn;
// what they ask follows the task, and what was chosen or edited for another draft never goes out for the present one.

import { Unfit } from "./api.js";
import { isCall } from "./calls.js";
import { button, choice, el, field, now, unfence } from "./dom.js";
import { listed } from "./drafts.js";
import { passForm } from "./pass.js";
import { has, say } from "./words.js";

const OUTCOMES = ["needed", "not_needed", "too_late", "unclear"];
const FLAGS = ["customer_had_to_repeat", "wrong_queue", "missing_context"];
const HOLD_MINUTES = [5, 15, 30, 60, 240, 720];
const MINUTE_MS = 60_000;
const LETTING_OUT = ["approve", "edit"]; // they speak of one draft, and of no other
// As the API takes them.
const TEXT_CHARS_MAX = 32_768;
const SHORT_CHARS_MAX = 256;

/** Return the forms. `act` has what they do; `typed` is called after each change of what is written, and `aside` is given
each text that belongs to another draft. */
export function forms(me, act, typed, aside) {
  const reply = el("textarea", { id: "reply", rows: "2", maxlength: TEXT_CHARS_MAX, dir: "auto" });
  const send = el("button", { type: "submit", class: "main" }, say("reply.send"));
  const saying = el("form", { class: "card composer" }, field(say("reply"), reply, say("reply.hint")), send);
  const ending = endForm(aside);
  const holding = holdForm(act);
  const passing = passForm(me, act);
  const saved = el("p", { id: "saved", class: "quiet", "aria-live": "off" });
  const place = el("div", { id: "forms" }, saying, saved, ending.place, holding.place, passing.place);

  saying.addEventListener("submit", (event) => {
    event.preventDefault();
    if (reply.value.trim()) act.reply(reply.value);
  });
  ending.place.addEventListener("submit", (event) => {
    event.preventDefault();
    act.end(ending.read);
  });
  place.addEventListener("input", typed);

  /** Put back what was written; what stands there already is newer and stays. */
  function restore(fields) {
    if (fields.reply && !reply.value) reply.value = fields.reply;
    if (fields.hold_reason && !holding.reason.value) holding.reason.value = fields.hold_reason;
    ending.restore(fields);
  }

  function add(text) {
    reply.value = reply.value ? `${reply.value}\n${text}` : text;
    reply.focus();
  }

  return {
    place,
    restore,
    add,
    told: (text) => {
      saved.textContent = text;
    },
    /** Ask what the packet asks. Returns the word for what has to be chosen again, null where nothing has. */
    asks: ({ packet, handoff }) => {
      // Of a call nobody passes it on: the agent has gone on, and the customer is spoken to on the telephone.
      saying.hidden = isCall(handoff);
      saying.querySelector("small").textContent = say(packet.task.kind === "review" ? "reply.hint_review" : "reply.hint");
      return ending.asks(packet, isCall(handoff));
    },
    /** Return what is written and not blank, under the names that the API has for it. */
    read: () => {
      const fields = { reply: reply.value, ...ending.draft(), hold_reason: holding.reason.value };
      return Object.fromEntries(Object.entries(fields).filter(([, value]) => value && value.length));
    },
    /** Write this in the place of whatever stands there. */
    write: (fields) => {
      reply.value = "";
      holding.reason.value = "";
      ending.clear();
      restore(fields);
    },
    /** Use what was put aside: an edit where the draft is edited, any other text for the customer. */
    use: (entry) => {
      if (entry.name !== "edited" || !ending.edit(entry)) add(entry.text);
    },
    replied: (text) => {
      // What was typed on while the answer was under way stays.
      if (reply.value === text) reply.value = "";
    },
    held: (held) => holding.held(held),
    stands: passing.stands,
    enable: (able) => {
      for (const each of place.querySelectorAll("button")) each.disabled = !able;
    },
  };
}

function endForm(aside) {
  const how = el("fieldset", { class: "choices" });
  const outcomes = OUTCOMES.map((each) => choice("radio", "outcome", each, say(`outcome.${each}`)));
  const flags = FLAGS.map((each) => choice("checkbox", "flags", each, say(`flag.${each}`)));
  const text = el("textarea", { id: "text", rows: "2", maxlength: TEXT_CHARS_MAX, dir: "auto" });
  const edited = editBox(aside);
  const facts = el("textarea", { id: "facts", rows: "3", dir: "auto" });
  const retry = choice("checkbox", "may_retry", "yes", say("retry"));
  const cause = el("input", { id: "root_cause", maxlength: SHORT_CHARS_MAX, autocomplete: "off", dir: "auto" });
  const rows = {
    text: field(say("text"), text),
    edited: edited.place,
    facts: el("div", {}, field(say("facts"), facts), retry),
    cause: el("div", {}, field(say("cause"), cause), el("fieldset", {}, el("legend", {}, say("flags")), ...flags)),
  };
  const place = el("form", { class: "card", id: "end" }, el("h2", {}, say("end")), how, rows.text, rows.edited, rows.facts,
    el("fieldset", { class: "choices short" }, el("legend", {}, say("end.outcome")), ...outcomes), rows.cause,
    el("button", { type: "submit", class: "main" }, say("end.do")));
  // What is asked: the kind of work, the turn of the draft, and each action with the word that it has there.
  let asked = null;

  const chosen = (name) => [...place.querySelectorAll(`input[name=${name}]:checked`)].map((each) => each.value);
  const choose = (name, value) => {
    const found = place.querySelector(`input[name=${name}][value="${CSS.escape(value ?? "")}"]`);
    if (found) found.checked = true;
  };
  const show = () => {
    const [action] = chosen("action");
    rows.text.hidden = asked?.kind === "call" || !["answer", "reject", "take_over", "hand_back"].includes(action);
    rows.edited.hidden = action !== "edit";
    rows.facts.hidden = action !== "hand_back";
    rows.cause.hidden = !action || action === "hand_back";
  };
  place.addEventListener("input", show);

  function asks(packet, call) {
    const { draft, actions } = packet.task;
    const kind = call ? "call" : packet.task.kind;
    const own = (action) => {
      const word = call ? `call.${action}` : `review.${action}`;
      return packet.task.kind === "review" && has(word) ? word : `action.${action}`;
    };
    const before = asked;
    asked = { kind, turn: draft?.turn_id ?? "", words: actions.map(own) };
    const unedited = edited.asks(packet, before?.turn === asked.turn);
    if (before && before.kind === kind && before.turn === asked.turn && String(before.words) === String(asked.words)) return null;
    const [action] = chosen("action");
    const [retrying] = before?.turn === asked.turn ? [] : chosen("may_retry");
    // What was held is another action now.
    if (retrying) retry.querySelector("input").checked = false;
    const focused = how.contains(document.activeElement) ? document.activeElement.id : "";
    how.replaceChildren(el("legend", {}, say(call ? "call.end" : "end.how")),
      ...actions.map((each) => choice("radio", "action", each, say(own(each)), say(`${own(each)}.hint`))));
    // An answer whose word is another one now, or that let out the draft before, was never given to what is asked now.
    const stays = before?.words.includes(own(action)) && (before.turn === asked.turn || !LETTING_OUT.includes(action));
    if (stays) choose("action", action);
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    show();
    if (!unedited && !retrying && (stays || !action)) return null;
    return before.kind === kind && draft ? "task.newer" : "task.changed";
  }

  function restore(fields) {
    const same = (fields.draft_turn_id ?? "") === asked.turn;
    const known = (fields.asked ?? asked.kind) === asked.kind && (same || !LETTING_OUT.includes(fields.action));
    if (known && !chosen("action").length) choose("action", fields.action);
    if (!chosen("outcome").length) choose("outcome", fields.outcome);
    for (const [name, control] of Object.entries({ text, facts, root_cause: cause })) {
      if (typeof fields[name] === "string" && !control.value) control.value = fields[name];
    }
    edited.restore(fields, same);
    for (const flag of Array.isArray(fields.flags) ? fields.flags : []) choose("flags", flag);
    if (fields.may_retry && same) retry.querySelector("input").checked = true;
    show();
  }

  return {
    place,
    asks,
    restore,
    draft: () => {
      const [action] = chosen("action");
      const edit = edited.draft();
      // What a choice and an edit were made for stands with them: they are put back for nothing else.
      const [retrying] = chosen("may_retry");
      const made = { asked: action && asked.kind, draft_turn_id: (edit.edited || edit.edited_beside.length || retrying || LETTING_OUT.includes(action)) && asked.turn };
      return { action, outcome: chosen("outcome")[0], text: text.value, facts: facts.value, root_cause: cause.value,
        flags: chosen("flags"), may_retry: retrying, ...edit, ...made };
    },
    clear: () => {
      for (const each of place.querySelectorAll("input:checked")) each.checked = false;
      for (const each of [text, facts, cause]) each.value = "";
      edited.clear();
      show();
    },
    /** Put a text where the draft is edited, and return whether there is one to edit. */
    edit: (entry) => {
      if (!asked.words.includes("action.edit") || !edited.add(entry)) return false;
      choose("action", "edit");
      show();
      edited.focus();
      return true;
    },
    /** Return where it goes and the body of it. Raises Unfit. */
    read: () => {
      const [action] = chosen("action");
      const [outcome] = chosen("outcome");
      if (!action || !outcome) throw new Unfit(say("end.missing"));
      const body = { outcome, text: text.value.trim() ? text.value : null };
      if (action === "hand_back") {
        return { verb: "hand-back", body: { ...body, facts: factsOf(facts.value), may_retry: retry.querySelector("input").checked } };
      }
      if (action === "answer" && body.text === null) throw new Unfit(say("text.missing"));
      if (action === "approve" || action === "edit") body.text = null;
      if (action === "edit") body.edited = edited.read();
      return { verb: "resolve", body: { ...body, action, root_cause: cause.value.trim() || null, flags: chosen("flags") } };
    },
  };
}

/** Return where the draft is edited: the reply, or one of the calls. */
function editBox(aside) {
  const what = el("select", { id: "edited-what" });
  const box = el("textarea", { id: "edited", rows: "4", maxlength: TEXT_CHARS_MAX, dir: "auto" });
  const choosing = field(say("edited.what"), what);
  const hint = el("small", { id: "edited-hint" }, say("edited.masked"));
  const place = el("div", {}, choosing, el("div", { class: "field" }, el("label", { for: "edited" }, say("edited")), hint, box));
  let edits = [];
  let written = []; // in the place of each of them, as typed
  const at = () => Number(what.value || 0);
  const entry = (number, why) => ({ name: "edited", text: written[number], what: String(number), why });
  const changes = (number) => Boolean(written[number]?.trim()) && written[number] !== edits[number].text;
  const show = (number) => {
    what.value = number;
    box.value = written[number] ?? "";
  };
  box.addEventListener("input", () => {
    written[at()] = box.value;
  });
  what.addEventListener("change", () => show(at()));

  /** Put a text where it was written, or aside where that is gone: it belongs to another draft. */
  function put(each, same) {
    if (same && Number(each.what) in edits) written[Number(each.what)] = each.text;
    else aside(each);
  }

  return {
    place,
    focus: () => box.focus(),
    /** Take the packet's draft; what was edited of the same one stays, else it is put aside. Returns whether any was. */
    asks: (packet, same) => {
      const found = editable(packet.task.draft);
      const masked = Boolean(packet.masks?.some((mask) => mask.pointer.startsWith("/task/draft")));
      hint.hidden = !masked;
      if (masked) box.setAttribute("aria-describedby", hint.id);
      else box.removeAttribute("aria-describedby");
      if (JSON.stringify(found) === JSON.stringify(edits) && same) return false;
      const chosen = at();
      const typed = edits.map((_, number) => number).filter(changes).map((number) => entry(number, "draft"));
      edits = found;
      written = edits.map((each) => each.text);
      what.replaceChildren(...edits.map((each, number) => el("option", { value: number }, each.label)));
      choosing.hidden = edits.length < 2;
      for (const each of typed) put(each, same);
      show(same && chosen < edits.length ? chosen : 0);
      return typed.length > 0 && !same;
    },
    draft: () => ({
      edited: changes(at()) ? written[at()] : "", edited_what: at() > 0 ? String(at()) : "",
      // Only one of them goes out; what was written for another is kept like the rest.
      edited_beside: edits.map((_, number) => number).filter((number) => number !== at() && changes(number)).map((number) => entry(number, "tab")),
    }),
    restore: (fields, same) => {
      for (const each of listed(fields.edited_beside)) put({ ...each, why: same ? "tab" : "draft" }, same);
      if (typeof fields.edited === "string" && fields.edited) put({ name: "edited", text: fields.edited, what: fields.edited_what ?? "0", why: "draft" }, same);
      if (same && fields.edited_what in edits) show(Number(fields.edited_what));
      else show(at());
    },
    clear: () => {
      written = edits.map((each) => each.text);
      show(0);
    },
    add: (used) => {
      const number = Number(used.what) in edits ? Number(used.what) : 0;
      if (!edits.length) return false;
      written[number] = changes(number) ? `${written[number]}\n${used.text}` : used.text;
      show(number);
      return true;
    },
    read: () => editOf(edits[at()], box.value),
  };
}

function editable(draft) {
  const calls = (draft?.tool_calls ?? []).map((call) => ({
    label: say("edited.call", { name: call.name }), call: call.name, text: call.args ? pretty(unfence(call.args).text) : "{}",
  }));
  return [...(draft?.reply ? [{ label: say("edited.reply"), call: null, text: unfence(draft.reply).text }] : []), ...calls];
}

function pretty(json) {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}

function editOf(edit, text) {
  if (!text.trim()) throw new Unfit(say("edited.missing"));
  if (!edit?.call) return { reply: text };
  let args = null;
  try {
    args = JSON.parse(text);
  } catch {
    throw new Unfit(say("edited.json"));
  }
  if (args === null || typeof args !== "object" || Array.isArray(args)) throw new Unfit(say("edited.json"));
  return { tool_call: { name: edit.call, args } };
}

function factsOf(text) {
  const lines = text.split("\n").map((line) => line.trim()).filter(Boolean);
  if (!lines.length) return null;
  const named = (line, at) => {
    const cut = line.indexOf(":");
    return cut > 0 ? [line.slice(0, cut).trim(), line.slice(cut + 1).trim()] : [`note ${at + 1}`, line];
  };
  return Object.fromEntries(lines.map(named));
}

function holdForm(act) {
  const reason = el("input", { id: "hold_reason", maxlength: 2 * SHORT_CHARS_MAX, autocomplete: "off", dir: "auto" });
  const span = (minutes) => (minutes < 60 ? `${minutes} min` : `${minutes / 60} h`);
  const minutes = el("select", { id: "hold_for" }, ...HOLD_MINUTES.map((each) => el("option", { value: each }, span(each))));
  const hold = button(say("hold.do"), () => act.hold(reason.value.trim(), now() + minutes.value * MINUTE_MS));
  const form = el("div", {}, field(say("hold.reason"), reason), field(say("hold.for"), minutes), hold);
  const place = el("details", { class: "card" }, el("summary", {}, say("later")), form,
    el("p", {}, button(say("release"), () => act.release())));
  return {
    place,
    reason,
    held: (held) => {
      form.hidden = held;
    },
  };
}
