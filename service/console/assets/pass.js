// Handing a handoff on: to another queue, to somebody by name, or both. Who is there is read when the form is unfolded.

import { Unfit, ask } from "./api.js";
import { button, el, field } from "./dom.js";
import { say } from "./words.js";

const NAME_CHARS_MAX = 128; // as the API takes it
const OTHER = "other";

/** Return the form. `act.pass` sends what it is given and tells whether it was done, `act.problem` says what failed. */
export function passForm(me, act) {
  const queue = el("select", { id: "pass-queue" });
  const person = el("select", { id: "pass-person" });
  const named = el("input", { id: "pass-name", maxlength: NAME_CHARS_MAX, autocomplete: "off", autocapitalize: "none", spellcheck: "false", dir: "auto" });
  const naming = field(say("pass.name"), named, say("pass.name.hint"));
  const place = el("details", { class: "card", id: "pass" }, el("summary", {}, say("pass")),
    el("p", { class: "quiet" }, say("pass.why")), field(say("pass.queue"), queue), field(say("pass.person"), person), naming,
    button(say("pass.do"), pass));
  let people = [];
  let own = "";

  const show = () => {
    naming.hidden = person.value !== OTHER;
  };
  // What is chosen here is no draft: it is only what the next tap does.
  place.addEventListener("input", show);
  place.addEventListener("toggle", () => place.open && look());
  fill(queue, [["", say("pass.stay")]]);
  fill(person, [["", say("pass.anybody")], [OTHER, say("pass.other")]]);
  show();

  async function look() {
    try {
      const [{ queues }, { operators }] = await Promise.all([ask("GET", "queues"), ask("GET", "operators")]);
      people = operators.filter((each) => each.name !== me.name);
      const others = queues.filter((each) => each.declared && each.name !== own);
      const stays = queues.find((each) => each.name === own);
      fill(queue, [["", say("pass.stay_in", { queue: stays?.title ?? own })],
        ...others.map((each) => [each.name, `${each.title ?? each.name} · ${each.waiting ? say("queues.waiting", { count: each.waiting }) : say("queues.empty")}`])]);
      fill(person, [["", say("pass.anybody")],
        ...people.map((each) => [`name ${each.name}`, `${each.title ?? each.name} · ${say(presence(each))}`]), [OTHER, say("pass.other")]]);
      show();
    } catch (error) {
      act.problem(error);
    }
  }

  function read() {
    const operator = person.value === OTHER ? named.value.trim() : person.value.replace(/^name /, "");
    if (person.value === OTHER && !operator) throw new Unfit(say("pass.nameless"));
    if (!queue.value && !operator) throw new Unfit(say("pass.nowhere"));
    return { ...(queue.value ? { queue: queue.value } : {}), ...(operator ? { operator } : {}) };
  }

  async function pass() {
    // What was refused may have been read too long ago.
    if (!(await act.pass(read, queue.selectedOptions[0]?.textContent.split(" · ")[0]))) await look();
  }

  return {
    place,
    /** Say in which queue it is now. */
    stands: (name) => {
      if (own === name) return;
      own = name;
      if (place.open) look();
    },
  };
}

function presence(operator) {
  if (operator.available) return "pass.there";
  if (operator.why_not === "no heartbeat") return "pass.away";
  return operator.why_not === "off shift" ? "pass.off" : "pass.full";
}

/** Fill a choice anew; what was chosen stays chosen while it is there. */
function fill(select, rows) {
  const before = select.value;
  select.replaceChildren(...rows.map(([value, label]) => el("option", { value }, label)));
  if (rows.some(([value]) => value === before)) select.value = before;
}
