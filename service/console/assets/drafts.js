// What the operator is writing: kept on the server a moment after each key press, and put back after a reload or a
// lost lease. It needs no lease, so nothing that was typed hangs on one.

import { ask } from "./api.js";
import { clock, now } from "./dom.js";
import { say } from "./words.js";

const PAUSE_MS = 700;
const AGAIN_MS = 3000;
const SETTLED_MS_MAX = 2000;

export function keepDraft(handoffId, read, tell) {
  const path = `handoffs/${encodeURIComponent(handoffId)}/draft`;
  let waiting = null;
  let saving = Promise.resolve();
  let saved = "{}";
  let done = false;

  function changed() {
    if (done) return;
    clearTimeout(waiting);
    waiting = setTimeout(save, PAUSE_MS);
    tell(say("saving"));
  }

  // One after the other: an older draft must not arrive after a newer one.
  function save(keepalive = false) {
    clearTimeout(waiting);
    waiting = null;
    saving = saving.then(() => write(keepalive));
    return saving;
  }

  async function write(keepalive) {
    const text = JSON.stringify(read());
    if (done || text === saved) return;
    try {
      await ask("PUT", path, { fields: JSON.parse(text) }, { keepalive });
      saved = text;
      tell(text === "{}" ? "" : say("saved", { at: clock(now()) }));
    } catch {
      tell(say("unsaved"));
      waiting ??= setTimeout(save, AGAIN_MS);
    }
  }

  return {
    changed,
    flush: () => save(),
    /** Wait until nothing of it is under way: a draft that arrives after what was sent would come back as unsent. */
    settled: () => {
      clearTimeout(waiting);
      waiting = null;
      return Promise.race([saving, new Promise((resolve) => setTimeout(resolve, SETTLED_MS_MAX))]);
    },
    /** Save at once as the page goes away: the browser finishes this request after it. */
    leave: () => {
      const text = JSON.stringify(read());
      if (!done && text !== saved) ask("PUT", path, { fields: JSON.parse(text) }, { keepalive: true }).catch(() => {});
    },
    /** Say what the server has: with a move it forgets the draft, and what is still being written is saved anew. */
    known: (fields) => {
      saved = JSON.stringify(fields);
    },
    /** Say that all of it was sent, and nothing is to be kept any more. */
    done: () => {
      done = true;
      clearTimeout(waiting);
      tell("");
    },
  };
}
