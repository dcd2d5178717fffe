import { milliseconds, number, value as shortly } from "../live/format.js";
import { may } from "../live/gateway.js";
import { functions, isFinal, keyOfJob } from "../live/jobs.js";
import { pairedOutputs } from "../live/paired.js";
import { differencesOf } from "../live/trail.js";
import { computed, useRef } from "../vendor/vendor.js";
import { useOpened } from "./opened.js";
import { OutputCharts } from "./output_charts.js";
import { ParameterPanel } from "./parameter_panel.js";
import { whyFixed } from "./job_page.js";
import { hrefs } from "./router.js";
import { StopButton } from "./stop_button.js";
import { TimeBar } from "./time_bar.js";
import { Empty, Figure, StateChip, Title, html, icon, prose } from "./ui.js";

const canControl = may("control");

/** Two jobs on the same charts, and both their panels side by side. */
export function CompareView({ original, fork }) {
  const schemaOf = (job) => functions.value?.find((each) => each.name === job.function)?.parameters;
  const sides = [
    { job: original, ...useOpened(original, { side: "A", schema: schemaOf(original) }) },
    { job: fork, ...useOpened(fork, { side: "B", schema: schemaOf(fork) }) },
  ];
  const fault = sides.map((side) => side.fault).find(Boolean);
  if (fault) return html`<p class="fault banner" role="alert">${fault}</p>`;
  if (!sides.every(({ page }) => page))
    return html`<p class="muted loading" role="status">Opening ${original.name} and ${fork.name} …</p>`;
  return html`<${Compared} a=${sides[0]} b=${sides[1]} />`;
}

function Compared({ a, b }) {
  const made = useRef();
  made.current ??= {
    outputs: pairedOutputs(a.page, b.page),
    changes: computed(() => [...a.page.changes.value, ...b.page.changes.value].sort((one, other) => (one.at < other.at ? -1 : 1))),
  };
  const { outputs, changes } = made.current;
  const differences = differencesOf(a.page.board.shown.value, b.page.board.shown.value);
  const differing = new Set(differences.map(({ name }) => name));
  const key = keyOfJob(a.job);
  return html`<article class="job compare">
    <header class="compare-head">
      <a class="button quiet small back" href=${hrefs.job(key)} aria-label="Back to ${a.job.name}">${icon("back")}</a>
      <${Title}>${a.job.name} and its fork<//>
      <div class="compare-actions">
        <${TakeOver} a=${a} b=${b} differences=${differences} />
        <a class="button" href=${hrefs.job(keyOfJob(b.job))} title="${b.job.name} runs on as a job of its own">Keep the fork, leave</a>
        <${StopButton} job=${b.job} what="Stop the fork" />
      </div>
    </header>
    <div class="sides">
      <${Side} side="A" ...${a} />
      <${Side} side="B" ...${b} />
    </div>
    <${Differences} differences=${differences} />
    <div class="job-body">
      <div class="job-main">
        <div class="tab-bar"><h2 class="compare-what">Both on the same charts</h2><${TimeBar} /></div>
        ${outputs.map((feed) => html`<${PairedOutput} key=${feed.output.name} feed=${feed} changes=${changes} />`)}
      </div>
      <aside class="job-side side-panels" aria-label="Parameters of both">
        ${[a, b].map(
          ({ job, page }, at) => html`<${ParameterPanel} key=${job.id} board=${page.board} title=${at ? "B, fork" : "A, original"}
            can_change=${canControl.value && !isFinal(job)} reason=${whyFixed(job)} differing=${differing} />`,
        )}
      </aside>
    </div>
  </article>`;
}

function Side({ side, job, page }) {
  const progress = page.progress.newestRow.value;
  return html`<section class="card side" data-side=${side} aria-label="${side}: ${job.name}">
    <div class="side-head"><span class="side-letter ${side === "B" ? "dashed" : ""}">${side}</span>
      <a class="job-link" href=${hrefs.job(keyOfJob(job))}>${job.name}</a><${StateChip} state=${job.state} /></div>
    <dl class="figures-row">
      <${Figure} label="Revision">${page.board.applied.value.revision}<//>
      <${Figure} label="Processed">${number(progress?.processed_rows_per_second)}<small>rows/s</small><//>
      <${Figure} label="Batch">${number(progress?.batch)}<//>
      <${Figure} label="Batch duration">${milliseconds(progress?.batch_duration_ms)}<//>
    </dl>
    ${job.reason && html`<p class="reason">${job.reason}</p>`}
  </section>`;
}

/** Give the original the values of the fork, in one change. */
function TakeOver({ a, b, differences }) {
  if (!differences.length || !canControl.value || isFinal(a.job)) return null;
  const take = () => {
    for (const { name, after } of differences) a.page.board.change(name, after);
  };
  return html`<button type="button" class="button" onClick=${take}
    title="Change ${a.job.name} to what ${b.job.name} runs with">Give A these values</button>`;
}

/** Where the two differ, in words. */
function Differences({ differences }) {
  if (!differences.length)
    return html`<p class="differences muted small">Both have the same values: change one of them.</p>`;
  return html`<dl class="differences" aria-label="Where they differ">${differences.map(
    ({ name, before, after }) => html`<div key=${name} data-parameter=${name}><dt>${name}</dt>
      <dd><span class="side-letter">A</span>${shortly(before)}</dd><dd><span class="side-letter dashed">B</span>${shortly(after)}</dd></div>`,
  )}</dl>`;
}

function PairedOutput({ feed, changes }) {
  const { name, description, mode } = feed.output;
  return html`<section class="output" data-output=${name} data-publications=${feed.publications.value} aria-label="Output ${name}">
    <header class="output-head"><h3>${name}</h3><span class="mode">${mode}</span><p class="muted small">${prose(description)}</p></header>
    ${
      feed.columns.value.length === 0
        ? html`<${Empty} level=${3} title="No rows yet"><p>They come with the first micro-batch that has any for this output.</p><//>`
        : html`<${OutputCharts} feed=${feed} name=${name} changes=${changes} />`
    }
  </section>`;
}
