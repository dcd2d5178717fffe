import { findJob, isFinal } from "../live/jobs.js";
import { CompareForm } from "./compare_form.js";
import { CompareView } from "./compare_view.js";
import { NoJob } from "./job_page.js";
import { hrefs } from "./router.js";
import { Empty, html } from "./ui.js";

/** A job beside a fork of itself that runs with other values; without one, the form that starts it. */
export function ComparePage({ name, fork }) {
  const job = findJob(name);
  if (!job) return html`<${NoJob} name=${name} />`;
  if (!fork && isFinal(job))
    return html`<${Empty} level=${1} title="${job.name} has ended"><p>Only a job that runs can be compared with a fork of itself.
      <a href=${hrefs.job(name)}>Back to ${job.name}</a>.</p><//>`;
  if (!fork) return html`<${CompareForm} key=${job.id} job=${job} />`;
  const other = findJob(fork);
  if (!other) return html`<${NoJob} name=${fork} />`;
  return html`<${CompareView} key=${`${job.id}/${other.id}`} original=${job} fork=${other} />`;
}
