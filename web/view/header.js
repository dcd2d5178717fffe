import { link, logout, now_ms, session, connection } from "../live/gateway.js";
import { behind, paused, setPaused } from "../live/painting.js";
import { number } from "../live/format.js";
import { help_open } from "./help.js";
import { hrefs, route } from "./router.js";
import { nextScheme, scheme } from "./scheme.js";
import { html, icon } from "./ui.js";

const SCHEME_ICONS = { auto: "auto", light: "sun", dark: "moon" };

export function Wordmark() {
  return html`<span class="wordmark"><svg viewBox="0 0 32 32" aria-hidden="true"><path d="M3 9c5 0 6 4 11 4s6-5 15-5" />
    <path d="M3 17c5 0 6 4 11 4s6-5 15-5" /><path d="M3 25c5 0 6 3 11 3s6-4 15-4" /></svg>Rivulet</span>`;
}

export function Header() {
  const { view } = route.value;
  return html`<header class="bar">
    <a class="home" href=${hrefs.jobs} aria-label="Rivulet, all jobs"><${Wordmark} /></a>
    <nav aria-label="Main"><a href=${hrefs.jobs} aria-current=${view === "jobs" ? "page" : undefined}>Jobs</a>
      <a href=${hrefs.run()} aria-current=${view === "run" ? "page" : undefined}>Start</a></nav>
    <div class="bar-tools">
      <${LinkState} />
      <button type="button" class="button small pause ${paused.value ? "on" : ""}" aria-pressed=${paused.value}
        title="Stop painting; the jobs and their data go on (Space)"
        onClick=${() => setPaused(!paused.peek())}>${icon(paused.value ? "play" : "pause")}<span
          class="label">${paused.value ? "Unfreeze" : "Freeze"}</span>
        ${paused.value && html`<span class="behind" data-behind=${behind.value}>${number(behind.value)} behind</span>`}</button>
      <button type="button" class="button quiet small" aria-label="Colours: ${scheme.value}; switch"
        title="Colours: ${scheme.value}" onClick=${nextScheme}>${icon(SCHEME_ICONS[scheme.value])}</button>
      <button type="button" class="button quiet small" aria-label="Help and keys" title="Help (?)"
        onClick=${() => (help_open.value = true)}>${icon("help")}</button>
      <${LogOut} />
    </div>
  </header>`;
}

function LogOut() {
  if (session.value?.authentication !== "token") return null;
  const label = `Log out ${session.value.principal}`;
  return html`<button type="button" class="button quiet small" aria-label=${label} title=${label} onClick=${logout}>
    ${icon("out")}</button>`;
}

/** Where the connection stands, in words. */
function LinkState() {
  const { state, retry_at_ms } = link.value;
  const wait_s = Math.max(0, Math.ceil((retry_at_ms - now_ms.value) / 1000));
  const told = {
    connecting: "Connecting",
    live: "Live",
    reconnecting: wait_s > 0 ? `Reconnecting in ${wait_s} s` : "Reconnecting",
    offline: "Offline",
    unauthorised: "Not logged in",
  }[state];
  const waits = state === "reconnecting" || state === "offline";
  return html`<span class="link-state ${state}" data-link=${state}><i class="dot" />${told}
    ${waits && html`<button type="button" class="link" onClick=${() => connection.retryNow()}>Try now</button>`}</span>`;
}
