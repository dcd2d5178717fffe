import { duration, milliseconds, number } from "../live/format.js";
import { connection, link, may, now_ms } from "../live/gateway.js";
import { startingPoints } from "../live/history.js";
import { findJob, functions, isFinal, jobs, keyOfJob } from "../live/jobs.js";
import { lagOf } from "../live/accounts.js";
import { Problem } from "../live/rest.js";
import { batch, useEffect, useRef, useSignal } from "../vendor/vendor.js";
import { ChangeList } from "./change_list.js";
import { DataTab } from "./data_tab.js";
import { EventsTab } from "./events_tab.js";
import { openJob } from "./job_session.js";
import { LogsTab } from "./logs_tab.js";
import { ParameterPanel } from "./parameter_panel.js";
import { ProgressTab } from "./progress_tab.js";
import { hrefs, tabs } from "./router.js";
import { StopButton } from "./stop_button.js";
import { TimeBar } from "./time_bar.js";
import { hidden_keys, pinned, pointed_key } from "./time_view.js";
import { Empty, Figure, StateChip, Title, html, icon } from "./ui.js";

const PANES = { data: DataTab, progress: ProgressTab, logs: LogsTab, events: EventsTab };
const canControl = may("control");

export function JobPage({ name, tab }) {
  const job = findJob(name);
  if (!job) {
    return jobs.value === undefined
      ? html`<p class="muted loading" role="status">Asking the gateway for its jobs …</p>`
      : html`<${Empty} level=${1} title="There is no job “${name}”">
        <p>It may have been forgotten by the gateway. <a href=${hrefs.jobs}>See all jobs</a>.</p><//>`;
  }
  const declared = functions.value?.find((each) => each.name === job.function);
  if (functions.value === undefined)
    return html`<p class="muted loading" role="status">Asking the gateway for its functions …</p>`;
  return html`<${Opened} key=${job.id} job=${job} declared=${declared} tab=${tab} />`;
}

function Opened({ job, declared, tab }) {
  // While its worker is away a function is not declared, but its parameters are what they were.
  const known = useRef({});
  if (declared) known.current = declared.parameters;
  const schema = known.current;
  const opened = useSignal(undefined);
  const fault = useSignal("");
  useEffect(() => {
    let left = false;
    const open = async () => {
      try {
        const since = await startingPoints(job.id);
        if (!left && !opened.peek()) opened.value = openJob(job, since);
      } catch (error) {
        // Without a gateway (TypeError) there is nothing to tell here: when it is back, this is tried again.
        if (error instanceof Problem) fault.value = `The gateway does not say what it holds: ${error.message}`;
      }
    };
    open();
    const off = connection.on("welcome", () => opened.peek() || open());
    return () => {
      left = true;
      off();
      opened.peek()?.close();
      batch(() => {
        pinned.value = pointed_key.value = undefined;
        hidden_keys.value = new Set();
      });
    };
  }, [job.id]);
  const page = opened.value;
  if (fault.value)
    return html`<p class="fault banner" role="alert">${fault.value} <button type="button" class="link"
      onClick=${() => location.reload()}>Load the page again</button></p>`;
  if (!page) return html`<p class="muted loading" role="status">Opening ${job.name} …</p>`;
  const Pane = PANES[tab];
  return html`<article class="job">
    <${JobHead} job=${job} page=${page} />
    <div class="job-body">
      <div class="job-main">
        <div class="tab-bar">
          <nav class="tabs" aria-label="Views of ${job.name}">
            ${tabs.map(
              (each) =>
                html`<a key=${each} href=${hrefs.job(keyOfJob(job), each)} aria-current=${each === tab ? "page" : undefined}>${each}</a>`,
            )}
          </nav>
          ${(tab === "data" || tab === "progress") && html`<${TimeBar} />`}
        </div>
        <${Pane} key=${tab} job=${job} page=${page} />
      </div>
      <aside class="job-side" aria-label="Steering">
        <${ParameterPanel} board=${page.board} schema=${schema} can_change=${canControl.value && !isFinal(job)}
          reason=${whyFixed(job)} />
        <${ChangeList} changes=${page.changes} />
      </aside>
    </div>
  </article>`;
}

function whyFixed(job) {
  return isFinal(job)
    ? `The job is ${job.state.replace("_", " ")}: these are the last values it ran with.`
    : "Your token may look, but not change parameters (right “control”).";
}

function JobHead({ job, page }) {
  const progress = page.progress.newestRow.value;
  const lag = page.outputs[0]?.subscription;
  const until = isFinal(job) ? Date.parse(job.ended_at) : now_ms.value;
  return html`<header class="job-head">
    <div class="job-title">
      <a class="button quiet small back" href=${hrefs.jobs} aria-label="All jobs">${icon("back")}</a>
      <${Title}>${job.name}<//>
      <${StateChip} state=${job.state} />
      <span class="job-function">${job.function === job.name ? "" : job.function}${job.restarts > 0 ? ` ${job.restarts} restarts` : ""}</span>
    </div>
    <dl class="figures-row">
      <${Figure} label="Uptime">${duration((until - Date.parse(job.started_at ?? job.created_at)) / 1000)}<//>
      <${Figure} label="Input">${number(progress?.input_rows_per_second)}<small>rows/s</small><//>
      <${Figure} label="Processed">${number(progress?.processed_rows_per_second)}<small>rows/s</small><//>
      <${Figure} label="Batch">${number(progress?.batch)}<//>
      <${Figure} label="Batch duration">${milliseconds(progress?.batch_duration_ms)}<//>
      <${Figure} label="Lag"
        title="From publication to arrival here, median">${link.value.state === "live" ? html`<${Lag} subscription=${lag} />` : "–"}<//>
    </dl>
    <${StopButton} job=${job} />
    ${job.reason && html`<p class="reason ${isFinal(job) ? "final" : ""}">${job.reason}</p>`}
  </header>`;
}

function Lag({ subscription }) {
  now_ms.value; // looked at once a second
  return milliseconds(lagOf(subscription).p50);
}
