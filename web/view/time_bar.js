import { follow, pinned, window_seconds } from "./time_view.js";
import { html, icon } from "./ui.js";

const WINDOWS = [
  [30, "30 s"],
  [120, "2 min"],
  [300, "5 min"],
  [900, "15 min"],
];

/** Which stretch of time the charts show. */
export function TimeBar() {
  return html`<div class="time-bar">
    <div class="segments" role="group" aria-label="Window of time">
      ${WINDOWS.map(
        ([
          seconds,
          label,
        ]) => html`<button type="button" key=${seconds} aria-pressed=${!pinned.value && window_seconds.value === seconds}
        onClick=${() => {
          window_seconds.value = seconds;
          follow();
        }}>${label}</button>`,
      )}
    </div>
    ${pinned.value && html`<button type="button" class="button small on" onClick=${follow}>${icon("follow")}Follow the newest</button>`}
  </div>`;
}
