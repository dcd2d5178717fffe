import { duration, milliseconds, number } from "../live/format.js";
import { link, may, now_ms } from "../live/gateway.js";
import { findJob, functions, isFinal, jobs, keyOfJob } from "../live/jobs.js";
import { lagOf } from "../live/accounts.js";
import { differencesOf } from "../live/trail.js";
import { useSignal } from "../vendor/vendor.js";
import { DataTab } from "./data_tab.js";
import { EventsTab } from "./events_tab.js";
import { LogsTab } from "./logs_tab.js";
import { useOpened } from "./opened.js";
import { ParameterPanel } from "./parameter_panel.js";
import { PausedNote } from "./paused_note.js";
import { ProgressTab } from "./progress_tab.js";
import { hrefs, tabs } from "./router.js";
import { StopButton } from "./stop_button.js";
import { TimeBar } from "./time_bar.js";
import { TrailPanel } from "./trail_panel.js";
import { Empty, Figure, StateChip, Title, html, icon } from "./ui.js";

const PANES = { data: DataTab, progress: ProgressTab, logs: LogsTab, events: EventsTab };
const canControl = may("control");
const canRun = may("run");

export function JobPage({ name, tab }) {
  const job = findJob(name);
  if (!job) return html`<${NoJob} name=${name} />`;
  if (functions.value === undefined)
    return html`<p class="muted loading" role="status">Asking the gateway for its functions …</p>`;
  const declared = functions.value.find((each) => each.name === job.function);
  return html`<${Opened} key=${job.id} job=${job} declared=${declared} tab=${tab} />`;
}

/** What is shown of a job that is not known, or not yet. */
export function NoJob({ name }) {
  return jobs.value === undefined
    ? html`<p class="muted loading" role="status">Asking the gateway for its jobs …</p>`
    : html`<${Empty} level=${1} title="There is no job “${name}”">
      <p>It may have been forgotten by the gateway. <a href=${hrefs.jobs}>See all jobs</a>.</p><//>`;
}

function Opened({ job, declared, tab }) {
  const { page, fault } = useOpened(job, { schema: declared?.parameters });
  const compared = useSignal(undefined);
  if (fault)
    return html`<p class="fault banner" role="alert">${fault} <button type="button" class="link"
      onClick=${() => location.reload()}>Load the page again</button></p>`;
  if (!page) return html`<p class="muted loading" role="status">Opening ${job.name} …</p>`;
  const Pane = PANES[tab];
  const can_change = canControl.value && !isFinal(job);
  const now = page.board.in_force.value.values;
  const otherwise = differencesOf(now, compared.value?.values ?? now).map((each) => each.name);
  return html`<article class="job">
    <${JobHead} job=${job} page=${page} />
    <${PausedNote} job=${job} board=${page.board} can_change=${can_change} />
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
        <${ParameterPanel} board=${page.board} can_change=${can_change} reason=${whyFixed(job)} compared=${new Set(otherwise)} />
        <${TrailPanel} board=${page.board} can_change=${can_change} compared=${compared} />
      </aside>
    </div>
  </article>`;
}

export function whyFixed(job) {
  return isFinal(job)
    ? `The job is ${job.state.replace("_", " ")}: these are the last values it ran with.`
    : "Your token may look, but not change parameters (right “control”).";
}

function JobHead({ job, page }) {
  const progress = page.progress.newestRow.value;
  const lag = page.outputs[0]?.subscription;
  const until = isFinal(job) ? Date.parse(job.ended_at) : now_ms.value;
  const kind = [job.function !== job.name && job.function, job.restarts > 0 && `${job.restarts} restarts`];
  return html`<header class="job-head">
    <div class="job-title">
      <a class="button quiet small back" href=${hrefs.jobs} aria-label="All jobs">${icon("back")}</a>
      <${Title}>${job.name}<//>
      <${StateChip} state=${job.state} />
      <span class="job-function">${kind.filter(Boolean).join(" ")}</span>
      <${ForkedFrom} job=${job} />
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
    <div class="job-actions">
      ${
        canRun.value &&
        !isFinal(job) &&
        html`<a class="button" href=${hrefs.compare(keyOfJob(job))} aria-label="Compare ${job.name} with other values"
          title="Run it beside this one with other values">${icon("fork")}Compare</a>`
      }
      <${StopButton} job=${job} />
    </div>
    ${job.reason && job.state !== "paused" && html`<p class="reason ${isFinal(job) ? "final" : "passing"}" title=${job.reason}>${job.reason}</p>`}
  </header>`;
}

function ForkedFrom({ job }) {
  const original = job.forked_from && findJob(job.forked_from);
  if (!original) return null;
  const key = keyOfJob(original);
  return html`<span class="small muted forked">forked from <a href=${hrefs.job(key)}>${original.name}</a>
    · <a href=${hrefs.compare(key, keyOfJob(job))}>compare the two</a></span>`;
}

function Lag({ subscription }) {
  now_ms.value; // looked at once a second
  return milliseconds(lagOf(subscription).p50);
}
