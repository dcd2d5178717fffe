import { isFinal } from "../live/jobs.js";
import { OutputCharts } from "./output_charts.js";
import { OutputTable } from "./output_table.js";
import { Empty, html, prose } from "./ui.js";

/** What the job puts out: charts and a table for each of its outputs. */
export function DataTab({ job, page }) {
  return page.outputs.map(
    (feed) => html`<${OutputSection} key=${feed.output.name} feed=${feed} job=${job} page=${page} />`,
  );
}

function OutputSection({ feed, job, page }) {
  const { name, description, mode } = feed.output;
  const count = feed.publications.value;
  return html`<section class="output" data-output=${name} data-publications=${count} aria-label="Output ${name}">
    <header class="output-head"><h2>${name}</h2><span class="mode">${mode}</span>
      <p class="muted small">${prose(description)}</p></header>
    ${feed.ended.value && !isFinal(job) && html`<p class="fault banner" role="alert">Nothing more comes of this output: ${feed.ended.value}</p>`}
    ${
      feed.columns.value.length === 0
        ? html`<${Empty} title=${isFinal(job) ? "Nothing is kept of this output" : "No rows yet"}>
          <p>${whyNothing(job, count)}</p><//>`
        : html`<${OutputCharts} feed=${feed} name=${name} changes=${page.changes} />
          <${OutputTable} feed=${feed} title=${name} />`
    }
  </section>`;
}

function whyNothing(job, publications) {
  if (isFinal(job)) return "The gateway keeps what is published for some minutes. Start the job again to see more.";
  if (publications > 0)
    return `${publications} micro-batches have come, none with a row for this output. It shows what comes.`;
  if (job.state === "running")
    return "The job is running. The first rows come with the first micro-batch that has any for this output.";
  if (job.state === "paused") return "The job is paused. It shows what comes when it goes on.";
  return `The job is ${job.state}. Spark needs some seconds to start; rows appear here by themselves.`;
}
