import { duration, milliseconds, number, quantity } from "../live/format.js";
import { RowFeed } from "../live/feeds.js";
import { may, now_ms } from "../live/gateway.js";
import { fault, figures, functions, isFinal, jobs, keyOfJob } from "../live/jobs.js";
import { lagOf } from "../live/accounts.js";
import { useEffect, useSignal } from "../vendor/vendor.js";
import { hrefs } from "./router.js";
import { Sparkline } from "./sparkline.js";
import { StopButton } from "./stop_button.js";
import { Empty, Figure, StateChip, Title, html, icon } from "./ui.js";

const MAX_WATCHED = 24;
/** What a job's card shows of its progress: the rest of it is large, and stays where it is. */
const PULSE = {
  capacity: 240,
  select: ["input_rows_per_second", "processed_rows_per_second", "batch_duration_ms"],
  every_ms: 1000,
};
const canRun = may("run");

/** All jobs: those that run first, each with its pulse. */
export function Overview() {
  const all = jobs.value;
  if (fault.value) return html`<p class="fault banner" role="alert">${fault.value}</p>`;
  if (all === undefined) return html`<p class="muted loading" role="status">Asking the gateway for its jobs …</p>`;
  const live = all.filter((job) => !isFinal(job));
  const over = all.filter(isFinal);
  return html`<div class="page">
    <header class="page-head">
      <div><${Title}>Jobs<//>
        <p class="muted">${counted(live)}${over.length ? `, ${over.length} ended` : ""}</p></div>
      ${canRun.value && html`<a class="button primary" href=${hrefs.run()}>${icon("plus")}Start a job</a>`}
    </header>
    ${!all.length && html`<${FirstJob} />`}
    <ul class="job-list"
      aria-label="Running jobs">${live.map((job, index) => html`<${LiveJob} key=${job.id} job=${job} watched=${index < MAX_WATCHED} />`)}</ul>
    ${
      over.length > 0 &&
      html`<h2 class="section-title">Ended</h2>
      <ul class="job-list ended"
        aria-label="Ended jobs">${over.map((job) => html`<${EndedJob} key=${job.id} job=${job} />`)}</ul>`
    }
    ${figures.value && html`<${GatewayFigures} row=${figures.value} />`}
  </div>`;
}

/** `2 running, 1 paused` */
function counted(live) {
  const paused = live.filter(({ state }) => state === "paused").length;
  const others = live.length - paused;
  return `${others ? `${others} running` : "None running"}${paused ? `, ${paused} paused` : ""}`;
}

/** How the gateway itself fares, once a second. */
function GatewayFigures({ row }) {
  return html`<section class="gateway" aria-labelledby="gateway-title"><h2 id="gateway-title" class="section-title">Gateway</h2>
    <dl class="card figures-row">
      <${Figure} label="Clients">${number(row.sessions)}<//>
      <${Figure} label="Subscriptions">${number(row.subscriptions)}<//>
      <${Figure} label="Publications">${number(row.publications)}<//>
      <${Figure} label="Deliveries">${number(row.deliveries)}<//>
      <${Figure} label="Delivered">${quantity(row.delivered_bytes, "B")}<//>
      <${Figure} label="Kept for replay">${quantity(row.retained_bytes, "B")}<//>
      <${Figure} label="Waiting to be sent">${quantity(row.queued_bytes, "B")}<//>
      <${Figure} label="Too slow, ended" tone=${row.evicted_sockets > 0 ? "warn" : ""}>${number(row.evicted_sockets)}<//>
      <${Figure} label="Loop lag">${milliseconds(row.loop_lag_ms)}<//>
    </dl></section>`;
}

function FirstJob() {
  const startable = (functions.value ?? []).filter((each) => each.kind === "stream" && !each.error).slice(0, 4);
  return html`<${Empty} title="Nothing runs yet">
    <p>A job is one run of a function: Spark computes, its results arrive here as they are made, and its parameters can be changed while it runs.</p>
    ${
      startable.length
        ? html`<div class="starters">${startable.map(
            (each) =>
              html`<a class="button" key=${each.name} href=${hrefs.run(each.name)}>${icon("play")}${each.title || each.name}</a>`,
          )}</div>`
        : html`<p>No function is declared either. A worker brings
          them: <code>rivulet worker</code>, or <code>rivulet demo</code> for the bundled ones.</p>`
    }
  <//>`;
}

function LiveJob({ job, watched }) {
  const feed = useSignal(undefined);
  useEffect(() => {
    if (!watched) return undefined;
    const opened = new RowFeed(`${job.id}/$progress`, PULSE);
    feed.value = opened;
    return () => opened.close();
  }, [job.id, watched]);
  const progress = feed.value?.latest.value;
  const lag = feed.value && now_ms.value ? lagOf(feed.value.subscription).p50 : undefined;
  return html`<li class="card job-card" data-job=${job.name}>
    <div class="job-card-head">
      <a class="job-link" href=${hrefs.job(keyOfJob(job))}>${job.name}</a>
      <${StateChip} state=${job.state} />
      <span class="job-function">${job.function === job.name ? "" : job.function}</span>
    </div>
    <div class="pulse">${
      feed.value &&
      html`<${Sparkline} feed=${feed.value}
      column="processed_rows_per_second" label="Rows processed per second by ${job.name}" />`
    }</div>
    <dl class="figures-row">
      <${Figure} label="Input">${number(progress?.input_rows_per_second)}<small>rows/s</small><//>
      <${Figure} label="Processed">${number(progress?.processed_rows_per_second)}<small>rows/s</small><//>
      <${Figure} label="Batch">${milliseconds(progress?.batch_duration_ms)}<//>
      <${Figure} label="Lag">${milliseconds(lag)}<//>
      <${Figure} label="Uptime">${duration((now_ms.value - Date.parse(job.started_at ?? job.created_at)) / 1000)}<//>
      <${Figure} label="Restarts" tone=${job.restarts > 0 ? "warn" : ""}>${job.restarts}<//>
    </dl>
    <div class="job-card-actions"><${StopButton} job=${job} small=${true} /></div>
    ${job.reason && html`<p class="reason">${job.reason}</p>`}
  </li>`;
}

function EndedJob({ job }) {
  const ended_ms = Date.parse(job.ended_at);
  const ran_seconds = (ended_ms - Date.parse(job.started_at ?? job.created_at)) / 1000;
  const ago_seconds = (now_ms.value - ended_ms) / 1000;
  return html`<li class="ended-job" data-job=${job.name}>
    <a class="job-link" href=${hrefs.job(keyOfJob(job))}>${job.name}</a>
    <${StateChip} state=${job.state} />
    <span class="muted small ended-when">${job.function} · ran ${duration(ran_seconds)}, ended ${duration(ago_seconds)} ago</span>
    ${job.reason && html`<span class="reason-inline" title=${job.reason}>${job.reason}</span>`}
    ${canRun.value && html`<a class="button quiet small" href=${hrefs.run(job.function)}>${icon("play")}Start again</a>`}
  </li>`;
}
