// Elements and times. Whatever is shown becomes a text node here: no string is ever read as markup.

import { language, say } from "./words.js";

// How far this machine's clock is behind the service's, by the `Date` of its answers.
let behindMs = 0;

export function el(tag, about = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(about)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") {
      for (const [event, act] of Object.entries(value)) made.addEventListener(event, act);
    } else {
      made.setAttribute(name, value === true ? "" : String(value));
    }
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

export function button(text, act, about = {}) {
  return el("button", { type: "button", ...about, on: { click: act } }, text);
}

/** Return a button that first says what it is about to do to others, and does it with the second press.

`about` returns the label of the second one and the warning, and throws what cannot be done as it stands. */
export function sure(label, about, act, problem) {
  const warning = el("p", { class: "warn", role: "alert" });
  const first = el("button", { type: "button" }, label);
  const place = el("div", { class: "sure" }, first);
  const reset = () => place.replaceChildren(first);
  first.addEventListener("click", () => {
    try {
      const told = about();
      warning.textContent = told.warning;
      const does = button(told.label, async () => {
        await act();
        reset();
      }, { class: "main" });
      place.replaceChildren(warning, does, button(say("sure.not"), () => {
        reset();
        first.focus();
      }));
      does.focus();
    } catch (error) {
      problem(error);
    }
  });
  return place;
}

/** Return a field with its label; the label is always there to be read and tapped. */
export function field(label, control, hint = null) {
  const id = control.id || `field-${label.replace(/\W+/g, "-")}`;
  control.id = id;
  const said = hint === null ? null : el("small", { id: `${id}-hint` }, hint);
  if (said) control.setAttribute("aria-describedby", said.id);
  return el("div", { class: "field" }, el("label", { for: id }, label), said, control);
}

/** Return one of a group of choices. */
export function choice(kind, name, value, label, hint = null) {
  const input = el("input", { type: kind, name, value, id: `${name}-${value}` });
  const words = el("span", {}, label, hint === null ? null : el("small", {}, hint));
  return el("label", { class: "choice", for: input.id }, input, words);
}

export function hearDate(header) {
  const at = Date.parse(header ?? "");
  if (!Number.isNaN(at)) {
    // The header has whole seconds, and is up to one old: a difference of two says nothing.
    const seen = at + 500 - Date.now();
    if (Math.abs(seen - behindMs) > 2000) behindMs = Math.abs(seen) > 2000 ? seen : 0;
  }
}

export function now() {
  return Date.now() + behindMs;
}

export function clock(atMs) {
  const at = new Date(atMs);
  const near = Math.abs(atMs - now()) < 12 * 3600 * 1000;
  const parts = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  if (!near) Object.assign(parts, { weekday: "short", day: "numeric", month: "short" });
  return new Intl.DateTimeFormat(language, parts).format(at);
}

export function time(atMs) {
  return el("time", { datetime: new Date(atMs).toISOString() }, clock(atMs));
}

/** Return a span as people say it: `45 s`, `12 min`, `3 h 5 min`, `2 d 4 h`. */
export function span(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return hours % 24 ? `${Math.floor(hours / 24)} d ${hours % 24} h` : `${hours / 24} d`;
}

/** Return what is left until a moment, to the second where seconds matter: `14:32`, else as a span. */
export function left(atMs) {
  const seconds = Math.max(0, Math.ceil((atMs - now()) / 1000));
  if (seconds >= 3600) return span(seconds * 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** Return who wrote a text of the packet and what they wrote, without the marks around it. */
export function unfence(text) {
  const found = /^⟦(customer|agent|tool)⟧([^⟦⟧]*)⟦\/\1⟧$/su.exec(text ?? "");
  return found ? { author: found[1], text: found[2] } : { author: null, text: text ?? "" };
}

/** Return a stranger's words as an element that keeps their line breaks and their own direction of writing. */
export function words(text, about = {}) {
  return el("span", { dir: "auto", ...about, class: `words ${about.class ?? ""}`.trim() }, unfence(text).text);
}
