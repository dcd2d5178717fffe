import { signal } from "../vendor/vendor.js";

/** What the one polite live region says. */
export const announcement = signal("");

const INTERVAL_MS = 5000;
const MAX_WAITING = 3;
let waiting = [];
let timer;

/** Say something to a screen reader: at most once in five seconds, the newest three things of that time together. */
export function say(text) {
  waiting = [...waiting.filter((each) => each !== text), text].slice(-MAX_WAITING);
  if (!timer) flush();
}

function flush() {
  timer = undefined;
  if (!waiting.length) return;
  announcement.value = waiting.join(". ");
  waiting = [];
  timer = setTimeout(flush, INTERVAL_MS);
}
