// What the operator is writing: kept on the server a moment after each key press, put back after a reload or a lost lease,
// and put aside where it fits no field any more. It needs no lease, so nothing that was typed hangs on one.

import { ask } from "./api.js";
import { clock, now } from "./dom.js";
import { say } from "./words.js";

const PAUSE_MS = 700;
const AGAIN_MS = 3000;
const SETTLED_MS_MAX = 2000;
// Fields that hold words: a choice is made again in a moment, a text is not.
const TEXTS = ["reply", "text", "edited", "facts", "root_cause", "hold_reason", "all_text", "all_cause"];
const ASIDE_MAX = 40; // texts: more than anybody looks through
const FIELDS_CHARS_MAX = 60_000; // of what is kept, a little less than the API takes: beyond, a text stays on this page alone

/** Return the texts of a list as a draft has it. */
export function listed(kept) {
  return Array.isArray(kept) ? kept.filter((each) => typeof each?.text === "string" && each.text) : [];
}

/** Return what fits no field any more: an edit of a draft that the agent has replaced, or what was written in another tab.

It is kept with the draft, and stands beside the work until it is used. */
export function asideOf() {
  let entries = [];

  function put(entry) {
    if (!entry.text.trim() || entries.some((each) => each.text === entry.text)) return;
    entries = [entry, ...entries].slice(0, ASIDE_MAX);
  }

  const restore = (fields) => {
    for (const each of listed(fields.aside).reverse()) put(each);
  };

  return {
    entries: () => entries,
    put,
    restore,
    /** Put aside each text of `fields` that stands nowhere in `others`. */
    rest: (fields, others) => {
      const there = Object.values(others).filter((each) => typeof each === "string");
      for (const name of TEXTS) {
        const text = fields[name];
        if (typeof text === "string" && !there.some((each) => each.includes(text.trim()))) put({ name, text, what: fields.edited_what ?? "0", why: "tab" });
      }
      const kept = JSON.stringify(others.edited_beside ?? []);
      for (const each of listed(fields.edited_beside)) if (!kept.includes(JSON.stringify(each))) put(each);
      restore(fields);
    },
    drop: (entry) => {
      entries = entries.filter((each) => each !== entry);
    },
    /** Return what of it is kept with these fields, the latest first. */
    read: (fields) => {
      let chars = JSON.stringify(fields).length;
      const kept = entries.filter((each) => {
        const fits = chars + each.text.length <= FIELDS_CHARS_MAX;
        if (fits) chars += each.text.length;
        return fits;
      });
      return kept.length ? { aside: kept } : {};
    },
  };
}

/** Keep what is written in the `parts` of the page and put `aside`, and `tell` how that went.

What another tab has kept is put beside the work before it is written over: `alone` says whether this tab has the handoff,
`look` reads the drafts, and `met` is called once something of them stands beside it. */
export function keepDraft(handoffId, me, { parts, aside, tell, alone, look, met }) {
  const path = `handoffs/${encodeURIComponent(handoffId)}/draft`;
  let waiting = null;
  let saving = Promise.resolve();
  let saved = "{}";
  let savedAtMs = 0;
  let failed = null;
  let done = false;

  function changed() {
    if (done) return;
    clearTimeout(waiting);
    waiting = setTimeout(save, PAUSE_MS);
    tell(say("saving"));
  }

  // One after the other: an older draft must not arrive after a newer one.
  function save() {
    clearTimeout(waiting);
    waiting = null;
    saving = saving.then(write);
    return saving;
  }

  async function write() {
    if (done) return;
    try {
      if (unsaved()) {
        // Without a connection, or without the lease, another tab may have gone on with what is there.
        if (failed || !alone()) meet(own(await look()));
        const text = JSON.stringify(read());
        await ask("PUT", path, { fields: JSON.parse(text) }, { tries: 1 });
        saved = text;
        savedAtMs = now();
      }
      failed = null;
      told();
    } catch (error) {
      failed = error;
      tell(say("unsaved"));
      waiting ??= setTimeout(save, AGAIN_MS);
    }
  }

  function told() {
    if (!waiting && !done) tell(saved === "{}" ? "" : say("saved", { at: clock(savedAtMs) }));
  }

  function unsaved() {
    return JSON.stringify(read()) !== saved;
  }

  function own(drafts) {
    return drafts.find((each) => each.by === me.name && !each.refused);
  }

  function read() {
    const fields = Object.assign({}, ...parts.map((part) => part.read()));
    return { ...fields, ...aside.read(fields) };
  }

  function known(fields, atMs = now()) {
    saved = JSON.stringify(fields);
    savedAtMs = atMs;
    if (unsaved()) changed();
    else told();
  }

  /** Put what the server has into the parts; what stood there and is not in it stands beside them. */
  function put({ fields, at_ms }) {
    const before = read();
    for (const part of parts) part.write(fields);
    aside.restore(fields);
    aside.rest(before, read());
    known(fields, at_ms);
  }

  /** Put what the server has beside the work, where this tab does not know of it. */
  function meet(kept) {
    if (!kept || JSON.stringify(kept.fields) === saved) return;
    aside.rest(kept.fields, read());
    known(kept.fields, kept.at_ms);
    met();
  }

  return {
    changed,
    /** Go on from what the server has, unless something stands here that is not kept there yet. Returns whether it has any. */
    goOn: (drafts) => {
      const kept = own(drafts);
      if (!kept) known({});
      else if (unsaved()) meet(kept);
      else if (JSON.stringify(kept.fields) !== saved) put(kept);
      if (unsaved()) changed();
      return Boolean(kept);
    },
    /** Save now, at the second try too, and raise why that could not be done. */
    flush: async () => {
      await save();
      if (failed) await save();
      if (failed) throw failed;
    },
    /** Wait until nothing of it is under way: a draft that arrives after what was sent would come back as unsent. */
    settled: () => {
      clearTimeout(waiting);
      waiting = null;
      return Promise.race([saving, new Promise((resolve) => setTimeout(resolve, SETTLED_MS_MAX))]);
    },
    /** Save at once as the page goes away: the browser finishes this request after it. */
    leave: () => {
      const text = JSON.stringify(read());
      if (!done && text !== saved) ask("PUT", path, { fields: JSON.parse(text) }, { keepalive: true, tries: 1 }).catch(() => {});
    },
    /** Say that with a move the server has forgotten the draft: what is still being written is saved anew. */
    forgotten: () => known({}),
    /** Say that all of it was sent, and nothing is to be kept any more. */
    done: () => {
      done = true;
      clearTimeout(waiting);
      tell("");
    },
  };
}
