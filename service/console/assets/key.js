// The user's key: asked for once in a tab, tried, kept for the tab alone, and forgotten on demand.

import { Away, Refused, ask, key } from "./api.js";
import { button, el, field } from "./dom.js";
import { say } from "./words.js";

const ROLES = ["operator", "manager", "admin"];
let flush = async () => {};

/** Name what has to be on the server before the key may go: a draft that is being written. */
export function beforeForgetting(act) {
  flush = act;
}

export async function withKey(room, show) {
  if (!key.get()) return form(room, show);
  room.replaceChildren(el("p", { class: "quiet" }, say("loading")));
  try {
    await enter(room, show);
  } catch (error) {
    form(room, show, told(error));
  }
}

/** Ask for another key where a page learns that its own is no longer accepted. What is written there stays, and is on the
server under the new key before the page begins anew. */
export function keyGone() {
  // Asked already: a late answer to the old key says nothing of the one that is being tried.
  if (document.getElementById("key-gone")) return;
  key.drop();
  const input = keyInput();
  const fault = el("p", { role: "alert", class: "problem" });
  const submit = async (event) => {
    event.preventDefault();
    key.keep(input.value.trim());
    try {
      await whose();
      await flush();
      reload();
    } catch (error) {
      key.drop();
      fault.textContent = told(error);
    }
  };
  const asked = el("form", { id: "key-gone", class: "banner bad", on: { submit } }, el("p", { role: "alert" }, say("key.gone")),
    field(say("key.label"), input), fault, el("button", { type: "submit", class: "main" }, say("key.show")));
  document.getElementById("main").prepend(asked);
  asked.scrollIntoView();
}

async function whose() {
  const me = await ask("GET", "me");
  if (!ROLES.includes(me.role)) throw new Refused(403, { code: "key.agent" });
  return me;
}

async function enter(room, show) {
  const me = await whose();
  const forget = button(say("key.forget"), async () => {
    await flush().catch(() => {});
    key.forget();
    reload();
  });
  document.getElementById("who").replaceChildren(el("span", { class: "me" }, me.name), forget);
  room.replaceChildren();
  await show(me);
}

function form(room, show, problem = "", given = "") {
  const input = keyInput();
  input.value = given;
  const fault = el("p", { role: "alert", class: "problem" }, problem);
  const open = el("button", { type: "submit", class: "main" }, say("key.show"));
  const submit = async (event) => {
    event.preventDefault();
    given = input.value.trim();
    if (!given || open.disabled) return;
    open.disabled = true;
    fault.textContent = "";
    key.keep(given);
    try {
      await enter(room, show);
    } catch (error) {
      const problem = told(error);
      key.forget();
      document.getElementById("who").replaceChildren();
      // Without a connection the key may be right, and need not be pasted again.
      form(room, show, problem, error instanceof Away ? given : "");
      document.getElementById("key").focus();
    }
  };
  room.replaceChildren(
    el("form", { class: "card", on: { submit } },
      el("h2", {}, say("key.title")), field(say("key.label"), input), el("p", { class: "quiet" }, say("key.why")), fault, open),
  );
}

function keyInput() {
  // It has no name and its form no address: a browser could not send it anywhere even without this script.
  return el("input", {
    type: "password", id: "key", autocomplete: "off", autocapitalize: "none", spellcheck: "false", required: true, maxlength: "256",
  });
}

function told(error) {
  if (error instanceof Away) return say("away");
  if (error.code === "key.agent") return say("key.agent");
  if (error instanceof Refused && error.status === 401) return say("key.unknown");
  if (error instanceof Refused) return error.said ?? `${error.detail}. ${error.hint}.`;
  throw error;
}

function reload() {
  location.reload();
}
