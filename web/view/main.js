import { announcement } from "../live/announcer.js";
import { link, start } from "../live/gateway.js";
import { render } from "../vendor/vendor.js";
import { ComparePage } from "./compare_page.js";
import { Header } from "./header.js";
import { Help } from "./help.js";
import { JobPage } from "./job_page.js";
import { listenToKeys } from "./keyboard.js";
import { LoginPage } from "./login_page.js";
import { Overview } from "./overview.js";
import { route } from "./router.js";
import { RunPage } from "./run_page.js";
import { StatusBar } from "./status_bar.js";
import { html } from "./ui.js";

function App() {
  if (link.value.state === "unauthorised") return html`<${LoginPage} />`;
  return html`<a class="skip" href="#main" onClick=${skip}>To the content</a>
    <${Header} />
    <main id="main" tabindex="-1"><${View} /></main>
    <${StatusBar} />
    <${Help} />
    <div class="visually-hidden" role="status" aria-live="polite">${announcement.value}</div>`;
}

function View() {
  const { view, job, tab, fork, function: chosen } = route.value;
  document.title = { jobs: "Jobs", job, run: "Start a job", compare: `Compare ${job}` }[view] + " · Rivulet";
  if (view === "job") return html`<${JobPage} name=${job} tab=${tab} />`;
  if (view === "run") return html`<${RunPage} chosen=${chosen} />`;
  if (view === "compare") return html`<${ComparePage} name=${job} fork=${fork} />`;
  return html`<${Overview} />`;
}

/** The address's hash says which page is shown, so the skip link moves the focus by itself. */
function skip(event) {
  event.preventDefault();
  document.querySelector("main").focus();
}

listenToKeys();
render(html`<${App} />`, document.querySelector("#app"));
start();
