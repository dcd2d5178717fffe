import { h, htm, useEffect, useRef } from "../vendor/vendor.js";
import { takeHeadingDue } from "./router.js";

/** Markup: `html` makes Preact nodes of a tagged template. */
export const html = htm.bind(h);

const SHAPES = {
  pause: "M6 4v8M10 4v8",
  play: "M5 3.5v9l7-4.5z",
  sun: "M8 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6M8 1.5v1M8 13.5v1M1.5 8h1M13.5 8h1M3.4 3.4l.7.7M11.9 11.9l.7.7M3.4 12.6l.7-.7M11.9 4.1l.7-.7",
  moon: "M13 9.6A5.6 5.6 0 0 1 6.4 3a5.6 5.6 0 1 0 6.6 6.6z",
  auto: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM8 2v12M8 5h4.5M8 8h6M8 11h4.5",
  help: "M6 6.2a2 2 0 1 1 2.6 1.9c-.4.2-.6.5-.6.9v.4M8 11.7v.1M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 0 0 8 1.8z",
  stop: "M4.5 4.5h7v7h-7z",
  plus: "M8 3.5v9M3.5 8h9",
  back: "M9.5 3.5 5 8l4.5 4.5",
  close: "M4 4l8 8M12 4l-8 8",
  check: "M3.5 8.5l3 3 6-7",
  warning: "M8 2.5 14 13H2zM8 6.5v3M8 11.4v.1",
  flag: "M4 14V2.5h7.5l-2 3 2 3H4",
  follow: "M2.5 8h9M8 4.5 11.5 8 8 11.5M13.5 4v8",
  table: "M2.5 3.5h11v9h-11zM2.5 6.5h11M2.5 9.5h11M6.5 6.5v6",
  clock: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM8 4.8V8l2.3 1.6",
  fork: "M2.5 8H6c3 0 3-4.5 6-4.5h1.5M6 8c3 0 3 4.5 6 4.5h1.5",
  out: "M6.5 3h-3v10h3M7 8h6.5M11 5.5 13.5 8 11 10.5",
};

/** A line drawing of 16 by 16; decoration only, so a screen reader passes over it. */
export function icon(name) {
  return html`<svg class="icon" viewBox="0 0 16 16" aria-hidden="true"><path d=${SHAPES[name]} /></svg>`;
}

const STATE_TONES = {
  queued: "wait",
  starting: "wait",
  running: "good",
  paused: "wait",
  restarting: "warn",
  cancelling: "warn",
  finished: "done",
  failed: "bad",
  cancelled: "done",
  timed_out: "bad",
  lost: "bad",
};

/** An author's text: what stands between backticks is code. @param {string} text */
export function prose(text) {
  return text.split("`").map((part, index) => (index % 2 ? html`<code>${part}</code>` : part));
}

/** The heading of a page. */
export function Title({ children }) {
  const element = useRef();
  useEffect(() => {
    if (takeHeadingDue()) element.current.focus({ preventScroll: true });
  }, []);
  return html`<h1 tabindex="-1" ref=${element}>${children}</h1>`;
}

/** A job's state. */
export function StateChip({ state }) {
  return html`<span class="chip ${STATE_TONES[state] ?? "done"}" data-state=${state}>${state.replace("_", " ")}</span>`;
}

/** A name and a figure under it. */
export function Figure({ label, children, tone = "", title }) {
  return html`<div class="figure ${tone}" title=${title}>
    <dt>${label}</dt>
    <dd>${children}</dd>
  </div>`;
}

/** What stands where there is nothing yet, and what to do about it. */
export function Empty({ title, level = 2, children }) {
  return html`<div class="empty">
    <svg class="empty-art" viewBox="0 0 120 40" aria-hidden="true">
      <path d="M2 10c22 0 26 12 48 12s26-14 68-14" /><path d="M2 22c22 0 26 10 48 10s26-12 68-12" />
        <path d="M2 34c22 0 26 4 48 4s26-10 68-10" />
    </svg>
    ${level === 1 ? html`<${Title}>${title}<//>` : h(`h${level}`, null, title)}
    <div class="empty-text">${children}</div>
  </div>`;
}
