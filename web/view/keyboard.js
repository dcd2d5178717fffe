import { paused, setPaused } from "../live/painting.js";
import { help_open } from "./help.js";
import { hrefs } from "./router.js";
import { follow } from "./time_view.js";

const SECOND_KEY_MS = 1200;
let g_at_ms = -Infinity;

const DIRECT = {
  " ": () => setPaused(!paused.peek()),
  "?": () => (help_open.value = true),
  f: follow,
};
const AFTER_G = { j: () => (location.hash = hrefs.jobs), s: () => (location.hash = hrefs.run()) };

/** Whether the key belongs to what has the focus: a space presses a button, a letter is typed. */
function isTaken(key, target) {
  if (target.closest("input:not([type=checkbox], [type=radio], [type=range]), textarea, select, dialog")) return true;
  return key === " " && target.closest("button, a, input, summary, [role=switch]") !== null;
}

/** The keys of the help dialog. */
export function listenToKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTaken(event.key, event.target)) return;
    const action = event.timeStamp - g_at_ms < SECOND_KEY_MS ? AFTER_G[event.key] : DIRECT[event.key];
    g_at_ms = event.key === "g" ? event.timeStamp : -Infinity;
    if (!action) return;
    event.preventDefault();
    action();
  });
}
