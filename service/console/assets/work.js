// The forms of whoever has the handoff: reply, end, hold, put back. They are built once, so that nothing typed is redrawn.

import { Unfit } from "./api.js";
import { isCall } from "./calls.js";
import { button, choice, el, field, now, unfence } from "./dom.js";
import { passForm } from "./pass.js";
import { has, say } from "./words.js";

const OUTCOMES = ["needed", "not_needed", "too_late", "unclear"];
const FLAGS = ["customer_had_to_repeat", "wrong_queue", "missing_context"];
const HOLD_MINUTES = [5, 15, 30, 60, 240, 720];
const MINUTE_MS = 60_000;
// As the API takes them.
const TEXT_CHARS_MAX = 32_768;
const SHORT_CHARS_MAX = 256;

/** Return the forms. `act` has what they do; `typed` is called after each change of what is written. */
export function forms({ packet, handoff }, me, act, typed) {
  const call = isCall(handoff);
  const reply = el("textarea", { id: "reply", rows: "2", maxlength: TEXT_CHARS_MAX, dir: "auto" });
  const send = el("button", { type: "submit", class: "main" }, say("reply.send"));
  const hint = handoff.kind === "review" ? "reply.hint_review" : "reply.hint";
  const saying = el("form", { class: "card composer" }, field(say("reply"), reply, say(hint)), send);
  const ending = endForm(packet, call);
  const holding = holdForm(act);
  const passing = passForm(me, act);
  const saved = el("p", { id: "saved", class: "quiet", "aria-live": "off" });
  const place = el("div", { id: "forms" }, saying, saved, ending.place, holding.place, passing.place);
  // Nobody passes it on: the agent has gone on, and the customer is spoken to on the telephone.
  saying.hidden = call;

  saying.addEventListener("submit", (event) => {
    event.preventDefault();
    if (reply.value.trim()) act.reply(reply.value);
  });
  ending.place.addEventListener("submit", (event) => {
    event.preventDefault();
    act.end(ending.read);
  });
  place.addEventListener("input", typed);

  return {
    place,
    told: (text) => {
      saved.textContent = text;
    },
    /** Return what is written and not blank, under the names that the API has for it. */
    read: () => {
      const fields = { reply: reply.value, ...ending.draft(), hold_reason: holding.reason.value };
      return Object.fromEntries(Object.entries(fields).filter(([, value]) => value && value.length));
    },
    /** Put back what was written; what stands there already is newer and stays. */
    restore: (fields) => {
      if (fields.reply && !reply.value) reply.value = fields.reply;
      if (fields.hold_reason && !holding.reason.value) holding.reason.value = fields.hold_reason;
      ending.restore(fields);
    },
    add: (text) => {
      reply.value = reply.value ? `${reply.value}\n${text}` : text;
      reply.focus();
      typed();
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

function endForm(packet, call) {
  const { draft, actions, kind } = packet.task;
  const told = (action) => {
    const own = call ? `call.${action}` : `review.${action}`;
    return kind === "review" && has(own) ? own : `action.${action}`;
  };
  const offered = actions.map((each) => choice("radio", "action", each, say(told(each)), say(`${told(each)}.hint`)));
  const outcomes = OUTCOMES.map((each) => choice("radio", "outcome", each, say(`outcome.${each}`)));
  const flags = FLAGS.map((each) => choice("checkbox", "flags", each, say(`flag.${each}`)));
  const text = el("textarea", { id: "text", rows: "2", maxlength: TEXT_CHARS_MAX, dir: "auto" });
  const edits = editable(draft);
  const masked = packet.masks?.some((mask) => mask.pointer.startsWith("/task/draft"));
  const what = el("select", { id: "edited-what" }, ...edits.map((each, at) => el("option", { value: at }, each.label)));
  const edited = el("textarea", { id: "edited", rows: "4", maxlength: TEXT_CHARS_MAX, dir: "auto" });
  edited.value = edits[0]?.text ?? "";
  what.addEventListener("change", () => {
    edited.value = edits[what.value].text;
  });
  const facts = el("textarea", { id: "facts", rows: "3", dir: "auto" });
  const retry = choice("checkbox", "may_retry", "yes", say("retry"));
  const cause = el("input", { id: "root_cause", maxlength: SHORT_CHARS_MAX, autocomplete: "off", dir: "auto" });
  const rows = {
    text: field(say("text"), text),
    edited: el("div", {}, edits.length > 1 ? field(say("edited.what"), what) : "", field(say("edited"), edited, masked ? say("edited.masked") : null)),
    facts: el("div", {}, field(say("facts"), facts), retry),
    cause: el("div", {}, field(say("cause"), cause), el("fieldset", {}, el("legend", {}, say("flags")), ...flags)),
  };
  const place = el("form", { class: "card", id: "end" }, el("h2", {}, say("end")),
    el("fieldset", { class: "choices" }, el("legend", {}, say(call ? "call.end" : "end.how")), ...offered), rows.text, rows.edited, rows.facts,
    el("fieldset", { class: "choices short" }, el("legend", {}, say("end.outcome")), ...outcomes), rows.cause,
    el("button", { type: "submit", class: "main" }, say("end.do")));

  const chosen = (name) => [...place.querySelectorAll(`input[name=${name}]:checked`)].map((each) => each.value);
  const show = () => {
    const [action] = chosen("action");
    rows.text.hidden = call || !["answer", "reject", "take_over", "hand_back"].includes(action);
    rows.edited.hidden = action !== "edit";
    rows.facts.hidden = action !== "hand_back";
    rows.cause.hidden = !action || action === "hand_back";
  };
  place.addEventListener("input", show);
  show();

  return {
    place,
    draft: () => ({
      action: chosen("action")[0], outcome: chosen("outcome")[0], text: text.value, facts: facts.value, root_cause: cause.value,
      flags: chosen("flags"), may_retry: chosen("may_retry")[0], edited: edits.some((each) => each.text === edited.value) ? "" : edited.value, edited_what: what.value > 0 ? what.value : "",
    }),
    restore: (fields) => {
      for (const name of ["action", "outcome"]) {
        const found = place.querySelector(`input[name=${name}][value="${CSS.escape(fields[name] ?? "")}"]`);
        if (found && !chosen(name).length) found.checked = true;
      }
      for (const [name, control] of Object.entries({ text, facts, root_cause: cause })) {
        if (typeof fields[name] === "string" && !control.value) control.value = fields[name];
      }
      if (fields.edited_what in edits) what.value = fields.edited_what;
      // As it was being typed, or as it was sent and refused.
      const sent = fields.edited?.reply ?? (fields.edited?.tool_call ? pretty(JSON.stringify(fields.edited.tool_call.args)) : fields.edited);
      if (typeof sent === "string" && sent) edited.value = sent;
      for (const flag of Array.isArray(fields.flags) ? fields.flags : []) {
        const found = place.querySelector(`input[name=flags][value="${CSS.escape(flag)}"]`);
        if (found) found.checked = true;
      }
      if (fields.may_retry) retry.querySelector("input").checked = true;
      show();
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
      if (action === "edit") body.edited = editOf(edits[what.value || 0], edited.value);
      return { verb: "resolve", body: { ...body, action, root_cause: cause.value.trim() || null, flags: chosen("flags") } };
    },
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
