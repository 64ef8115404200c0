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

/** Ask again for a key where a page learns that its own is no longer accepted. */
export function keyGone() {
  key.forget();
  const again = el("p", { role: "alert", class: "banner bad" }, say("key.gone"), " ", button(say("key.show"), reload));
  document.getElementById("main").prepend(again);
  again.scrollIntoView();
}

async function enter(room, show) {
  const me = await ask("GET", "me");
  if (!ROLES.includes(me.role)) throw new Refused(403, { code: "key.agent" });
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
  // It has no name and the form no address: a browser could not send it anywhere even without this script.
  const input = el("input", {
    type: "password", id: "key", autocomplete: "off", autocapitalize: "none", spellcheck: "false", required: true, maxlength: "256",
  });
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
