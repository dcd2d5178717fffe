import { duration, milliseconds, number, quantity } from "../live/format.js";
import { findJob } from "../live/jobs.js";
import { own, untold, watchOwn } from "../live/own_subscriptions.js";
import { troubles } from "../live/streams.js";
import { useEffect } from "../vendor/vendor.js";
import { html, icon } from "./ui.js";

const POLICIES = {
  latest: "latest",
  conflate: "newest per key",
  drop_oldest: "all rows",
  block: "holds the job",
  end: "all, or end",
};

/** Each figure of a subscription: its heading, what it means, what it is, and which count to look at where it is one of loss. */
const FIGURES = [
  ["Lag", "From publication to arrival here: median and 95th percentile", lag],
  ["Behind", "Publications that the stream has and we have not been sent yet", ({ behind }) => number(behind)],
  ["Credit", "Publications that may be sent before this page asks for more", credit],
  ["Publications", "Received since this page was opened", ({ publications }) => number(publications)],
  ["Rows", "Received since this page was opened", ({ rows }) => number(rows)],
  ["Bytes", "Sent to us on this connection", ({ bytes }) => quantity(bytes, "B")],
  ["Merged", "Publications that came inside a later one", ({ merged }) => number(merged), "merged"],
  ["Dropped", "Will never come, because this page was too slow", ({ dropped }) => number(dropped), "dropped"],
  ["Not kept", "Will never come, because nobody keeps them any more", ({ not_kept }) => number(not_kept), "not_kept"],
  ["Gaps", "Announced stretches of what will never come, and new numberings", gaps, "gaps"],
];

/** The connection in full: what has come on it, what has not and why, in a sentence and for each subscription. */
export function ConnectionPanel({ account }) {
  useEffect(watchOwn, []);
  const told = own.value;
  const rows = account.subscriptions
    .map((row) => ({ ...row, ...pick(told?.get(row.sub)) }))
    .sort((a, b) => a.stream.startsWith("$") - b.stream.startsWith("$")); // the gateway's own come last
  return html`<div class="status-panel connection" role="region" aria-label="Connection" tabindex="0">
    <${Verdict} account=${account} />
    ${untold.value && html`<p class="notice">${icon("warning")}The gateway does not tell its side: ${untold.value}</p>`}
    ${troubles.value.map(
      ({ stream, told: what, at_ms }) =>
        html`<p class="notice" key=${`${stream}${at_ms}`}>${icon("warning")}<span><b>${named(stream)}</b> ${what}</span></p>`,
    )}
    <table class="figures subscriptions" role="table">
      <caption class="visually-hidden">Subscriptions</caption>
      <thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col">Stream</th><th role="columnheader" scope="col">State</th>
        ${FIGURES.map(([name, title]) => html`<th role="columnheader" scope="col" key=${name} title=${title}>${name}</th>`)}</tr></thead>
      <tbody role="rowgroup">${rows.map((row) => html`<${Row} key=${row.sub} row=${row} />`)}</tbody>
    </table>
  </div>`;
}

function Row({ row }) {
  return html`<tr role="row" data-stream=${row.stream} data-gaps=${row.gaps} data-missing=${row.missing} data-behind=${row.behind}>
    <th role="rowheader" scope="row">${named(row.stream)}<small>${asked(row)}</small></th>
    <td role="cell" class="sub-state"><span class="sub-dot ${tone(row)}">${stateOf(row)}</span></td>
    ${FIGURES.map(
      ([name, , figure, lost]) =>
        html`<td role="cell" key=${name} data-label=${name} class=${tint(lost, row)}>${figure(row)}</td>`,
    )}
  </tr>`;
}

/** All of it in one sentence. */
function Verdict({ account }) {
  const { publications, merged, missing, dropped, not_kept, violations } = account;
  const came = `${count(publications, "publication")} came${merged ? `, and ${count(merged, "more")} inside of them` : ""}`;
  if (violations)
    return html`<p class="verdict bad">${icon("warning")}<span>${came}. <b>${count(violations, "time")} they did not lie end to end:</b> a fault
      of the gateway's.</span></p>`;
  if (!missing)
    return html`<p class="verdict good">${icon("check")}<span><b>Nothing is missing.</b> ${came}.</span></p>`;
  const causes = [
    [dropped, "because this page was too slow"],
    [not_kept, "because nobody keeps them any more"],
  ].filter(([n]) => n > 0);
  const why =
    causes.length > 1 ? causes.map(([n, cause]) => `${number(n)} ${cause}`) : causes.map(([, cause]) => cause);
  return html`<p class="verdict warn">${icon("warning")}<span>${came}. <b>${count(missing, "publication")} will never come,</b> ${why.join(", ")}.</span></p>`;
}

/** What is lost stands out; what is not, need not be said where there is little room. */
function tint(name, row) {
  if (!name) return "";
  if (!row[name]) return "zero";
  return name === "merged" ? "" : "lost";
}

function pick(told) {
  return told && { gateway_state: told.state, credit: told.credit, behind: told.behind, bytes: told.bytes };
}

function stateOf({ state, gateway_state }) {
  if (state === "live" && gateway_state === "recovering") return "catching up";
  return state === "pending" ? "waiting" : state;
}

function tone(row) {
  return { live: "good", "catching up": "warn", waiting: "wait", ended: "bad" }[stateOf(row)] ?? "";
}

/** What it is held to, in words. */
function asked({ overflow, every_ms, filtered, projected }) {
  return [
    every_ms ? `every ${every_ms % 1000 ? milliseconds(every_ms) : duration(every_ms / 1000)}` : "",
    POLICIES[overflow] ?? "",
    filtered ? "filtered" : "",
    projected ? "some columns" : "",
  ]
    .filter(Boolean)
    .join(" · ");
}

/** A job's streams are known by its id; people know it by its name. */
function named(stream) {
  const [job, output] = stream.split(/\/(.*)/s);
  return output ? `${findJob(job)?.name ?? job}/${output}` : stream;
}

function lag({ p50, p95 }) {
  return p50 === undefined ? "–" : `${milliseconds(p50)} / ${milliseconds(p95)}`;
}

function credit(row) {
  return row.credit === null ? "∞" : number(row.credit);
}

function gaps({ gaps: announced, epochs }) {
  return epochs ? `${announced} + ${epochs} new` : String(announced);
}

function count(n, what) {
  return `${number(n)} ${what}${n === 1 || what === "more" ? "" : "s"}`;
}
