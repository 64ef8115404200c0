// A flood's group: who waits behind the one that stands for them, one answer for all, and whoever is let go of it.
// The form is built once, so that nothing typed is redrawn; the list and the count are read again while the page is open.

import { Unfit, ask, base, move } from "./api.js";
import { button, choice, clock, el, field, left, now, sure, time } from "./dom.js";
import { say } from "./words.js";

const LOOK_MS = 10_000;
const LISTED = 25;
const ROUNDS_MAX = 20; // each answers up to a thousand: past that somebody should look whether the agent still floods
const TEXT_CHARS_MAX = 32_768; // as the API takes it
const CAUSE_CHARS_MAX = 256;
const ACTIONS = ["answer", "reject"];
const OUTCOMES = ["needed", "not_needed", "too_late", "unclear"];

/** Return what `group` is alike in, in words. */
export function alike(group) {
  return say(`flood.${group.by}`, { who: group.who ?? "", rule: group.rule_id });
}

/** Return the groups of all queues, for the page of queues. */
export function floodList(floods, titles) {
  if (!floods.length) return [];
  return [el("h2", {}, say("flood.all")), el("ul", { class: "plain" }, ...floods.map((each) => {
    const told = [
      el("span", { class: "pill high" }, say("flood.count", { count: each.members })),
      el("span", {}, el("strong", {}, alike(each)), ` · ${titles[each.queue] ?? each.queue} · `, time(each.since_at_ms)),
    ];
    const row = each.leader
      ? el("a", { class: "row", href: new URL(`console/handoffs/${encodeURIComponent(each.leader)}`, base) }, ...told)
      : el("span", { class: "row" }, ...told);
    return el("li", {}, row);
  }))];
}

/** Return the section of a handoff that came in a flood. `act` does one thing at a time, says what failed, and knows the
token; `typed` is called after each change of what is written. */
export function floodOf(path, me, act, typed) {
  const told = el("div", {});
  const list = el("ul", { class: "plain" });
  const more = el("p", { class: "quiet" });
  const title = el("summary", {});
  const result = el("p", { class: "quiet", role: "status" });
  const may = me.role !== "manager";
  const actions = ACTIONS.map((each) => choice("radio", "all_action", each, say(`action.${each}`), say(`flood.${each}.hint`)));
  const outcomes = OUTCOMES.map((each) => choice("radio", "all_outcome", each, say(`outcome.${each}`)));
  const text = el("textarea", { id: "all_text", rows: "2", maxlength: TEXT_CHARS_MAX, dir: "auto" });
  const cause = el("input", { id: "all_cause", maxlength: CAUSE_CHARS_MAX, autocomplete: "off", dir: "auto" });
  const answering = sure(say("flood.do"), () => {
    read();
    return { label: say("flood.do_it", { count }), warning: say("flood.sure", { count }) };
  }, answerAll, act.problem);
  const letting = sure(say("flood.let_all"), () => ({ label: say("flood.let_do", { count }), warning: say("flood.let_sure", { count }) }), () => letGo([]), act.problem);
  // Folded, so that this one customer's own words are not far below it.
  const form = el("details", { id: "answer-all" }, el("summary", {}, say("flood.answer")),
    el("fieldset", { class: "choices" }, el("legend", {}, say("end.how")), ...actions), field(say("text"), text),
    el("fieldset", { class: "choices short" }, el("legend", {}, say("flood.outcome")), ...outcomes), field(say("cause"), cause), answering);
  const others = el("details", { id: "members" }, title, list, more, may ? letting : "");
  const place = el("section", { id: "flood", hidden: true });
  let count = 0;
  let looking = false;
  let drawn = "";
  form.addEventListener("input", typed);
  others.addEventListener("toggle", () => others.open && look());
  setInterval(() => !place.hidden && !document.hidden && look(), LOOK_MS);
  document.addEventListener("visibilitychange", () => !place.hidden && !document.hidden && look());

  const chosen = (name) => form.querySelector(`input[name=${name}]:checked`)?.value;

  /** Read how many there are, and whoever comes first among them where the list is unfolded. */
  async function look() {
    if (looking) return;
    looking = true;
    try {
      const [{ group }, members] = await Promise.all([ask("GET", path), others.open ? ask("GET", `${path}/members?limit=${LISTED}`) : null]);
      act.grouped(group);
      if (members) rows(members.handoffs);
    } catch (error) {
      // Once it has ended it is part of no group; the page says so elsewhere.
      if (error.code !== "no_group") act.problem(error);
    } finally {
      looking = false;
    }
  }

  function rows(members) {
    const seen = JSON.stringify(members.map((each) => [each.id, each.priority, each.expires_at_ms, each.state]));
    const rest = Math.max(0, count - members.length);
    more.textContent = rest ? say("flood.more", { count: rest }) : "";
    if (seen === drawn) return;
    drawn = seen;
    list.replaceChildren(...members.map((each) => el("li", { class: "member" },
      el("a", { class: "row", href: new URL(`console/handoffs/${encodeURIComponent(each.id)}`, base) },
        el("code", {}, each.conversation_id), el("span", {}, time(each.opened_at_ms)), el("span", { class: "quiet" }, due(each))),
      may ? button(say("flood.let_one"), () => letGo([each.id]), { "aria-label": `${say("flood.let_one")}: ${each.conversation_id}` }) : "")));
  }

  function read() {
    const [action, outcome] = [chosen("all_action"), chosen("all_outcome")];
    if (!action || !outcome) throw new Unfit(say("end.missing"));
    if (action === "answer" && !text.value.trim()) throw new Unfit(say("text.missing"));
    return { action, outcome, text: text.value.trim() ? text.value : null, root_cause: cause.value.trim() || null };
  }

  /** Answer them, a thousand a request, until none is left. What was cut off goes on where it ended. */
  function answerAll() {
    return act.doing(async () => {
      const body = { ...read(), token: act.token() };
      let done = 0;
      for (let round = 0; round < ROUNDS_MAX; round += 1) {
        const dealt = await move(`${path}/members/answer`, body);
        done += dealt.done;
        // No answer in writing makes a call that was promised.
        const known = dealt.calls ? ["flood.calls", "flood.calls_some"] : ["flood.answered", "flood.answered_some"];
        result.textContent = say(known[dealt.left ? 1 : 0], { count: done, left: dealt.left, calls: dealt.calls });
        if (!dealt.left || !dealt.done) break;
      }
      act.answered(body);
      await look();
    });
  }

  function letGo(members) {
    return act.doing(async () => {
      const { done, left: rest } = await move(`${path}/members/ungroup`, members.length ? { members } : {});
      result.textContent = say(members.length && !done ? "flood.gone" : "flood.let", { count: done, left: rest });
      await look();
    });
  }

  function restore(fields) {
    for (const name of ["all_action", "all_outcome"]) {
      const found = form.querySelector(`input[name=${name}][value="${CSS.escape(fields[name] ?? "")}"]`);
      if (found && !chosen(name)) found.checked = true;
    }
    for (const [name, control] of [["all_text", text], ["all_cause", cause]]) {
      if (typeof fields[name] === "string" && !control.value) control.value = fields[name];
    }
    if (chosen("all_action") || text.value) form.open = true;
  }

  return {
    place,
    /** Show the group as the handoff has it now; the form only to whoever has the one that stands for it. */
    show: (handoff, have) => {
      const { group } = handoff;
      place.hidden = !group || handoff.ended_at_ms !== null;
      if (place.hidden) return;
      // Most handoffs come in none, and have nothing of it in them.
      if (!place.firstChild) place.append(el("h2", {}, say("flood.title")), told, others, result);
      if (group.members === null) look();
      count = group.members ?? 0;
      const leader = group.leader && !group.leads
        ? [" ", el("a", { href: new URL(`console/handoffs/${encodeURIComponent(group.leader)}`, base) }, say("flood.leader"))] : [];
      const known = group.leads ? (count ? "flood.leads" : "flood.none") : "flood.member";
      // What a move answers says nothing of how many there are: nothing is said of it until that is read.
      const words = group.members === null ? "" : say(known, { count });
      told.replaceChildren(el("p", {}, el("strong", {}, alike(group)), group.since_at_ms ? `, ${say("flood.since", { at: clock(group.since_at_ms) })}` : ""),
        el("p", {}, words, ...leader));
      title.textContent = say("flood.others", { count });
      others.hidden = !count;
      letting.hidden = !group.leads;
      form.hidden = !have || !group.leads || !count;
      if (may && !form.hidden && !form.isConnected) place.append(form);
    },
    /** Return what is written, under names of its own: it is kept with the rest of the draft. */
    read: () => Object.fromEntries(Object.entries({
      all_action: chosen("all_action"), all_outcome: chosen("all_outcome"), all_text: text.value, all_cause: cause.value,
    }).filter(([, value]) => value)),
    /** Write this in the place of whatever stands there. */
    write: (fields) => {
      for (const each of form.querySelectorAll("input:checked")) each.checked = false;
      text.value = "";
      cause.value = "";
      restore(fields);
    },
    enable: (able) => {
      for (const each of form.querySelectorAll("button")) each.disabled = !able;
    },
  };
}

function due(handoff) {
  if (handoff.expires_at_ms === null) return say("meta.none");
  return handoff.expires_at_ms > now() ? `${say("meta.deadline")} ${left(handoff.expires_at_ms)}` : say("meta.late");
}
