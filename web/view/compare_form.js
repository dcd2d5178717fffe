import { RivuletError } from "../client/index.js";
import { say } from "../live/announcer.js";
import { value as shortly } from "../live/format.js";
import { connection, explain, may } from "../live/gateway.js";
import { isFinal, jobs, keyOfJob, noteJob } from "../live/jobs.js";
import { faultsByField, fieldsOf, groupsOf } from "../live/schema.js";
import { same } from "../live/trail.js";
import { useEffect, useSignal } from "../vendor/vendor.js";
import { Control } from "./control.js";
import { hrefs } from "./router.js";
import { Title, html, icon } from "./ui.js";

const FORK_TIMEOUT_MS = 60_000;
const canRun = may("run");

/** What the fork is to run with that the job does not. */
export function CompareForm({ job }) {
  const told = useSignal(undefined);
  const values = useSignal({});
  const name = useSignal("");
  const faults = useSignal({ by_field: {}, others: [] });
  const busy = useSignal(false);
  useEffect(() => {
    const ask = async () => {
      try {
        told.value = await connection.getParameters(job.id);
      } catch (error) {
        faults.value = { by_field: {}, others: [explain(error)] };
      }
    };
    ask();
    return connection.on("welcome", ask);
  }, [job.id]);
  const key = keyOfJob(job);
  const fields = fieldsOf(told.value?.schema ?? {});
  const changed = Object.keys(values.value).filter((each) => !same(values.value[each], told.value.values[each]));
  const start = async (event) => {
    event.preventDefault();
    if (!changed.length) {
      faults.value = { by_field: {}, others: ["Give at least one parameter another value: else there is nothing to compare."] };
      return;
    }
    busy.value = true;
    try {
      const { job: forked } = await connection.command(
        {
          type: "fork",
          job: job.id,
          values: Object.fromEntries(changed.map((each) => [each, values.value[each]])),
          subs: [],
          ...(name.value && { name: name.value }),
        },
        { timeout_ms: FORK_TIMEOUT_MS },
      );
      noteJob(forked);
      say(`${forked.name} is forked from ${job.name}`);
      location.hash = hrefs.compare(key, keyOfJob(forked));
    } catch (error) {
      const listed = error instanceof RivuletError && error.faults.length ? error.faults : [{ detail: explain(error) }];
      faults.value = faultsByField(listed, ["name", ...fields.map((field) => field.name)]);
      requestAnimationFrame(() =>
        document.querySelector(".compare-form :is([aria-invalid=true], .fault)")?.scrollIntoView({ block: "center" }),
      );
    }
    busy.value = false;
  };
  const change = (field, value) => {
    values.value = { ...values.value, [field.name]: value };
    const { [field.name]: _, ...by_field } = faults.value.by_field;
    faults.value = { by_field, others: [] };
  };
  const { by_field, others } = faults.value;
  const running = (jobs.value ?? []).filter((each) => each.forked_from === job.id && !isFinal(each));
  return html`<div class="page compare-form">
    <header class="page-head"><div><a class="button quiet small back" href=${hrefs.job(key)}>${icon("back")}${job.name}</a>
      <${Title}>Compare ${job.name} with other values<//>
      <p class="muted">A fork goes on from where the job is, with its state, as a job of its own. Both are drawn on the same
        charts; the job itself is not touched.</p></div></header>
    ${
      running.length > 0 &&
      html`<p class="small">Forks that run already: ${running.map(
        (each) => html`<a key=${each.id} href=${hrefs.compare(key, keyOfJob(each))}>${each.name}</a> `,
      )}</p>`
    }
    <form class="card run-form" novalidate onSubmit=${start} aria-label="What the fork runs with">
      ${others.length > 0 && html`<p class="fault banner" role="alert">${others.join("; ")}</p>`}
      ${!told.value && !others.length && html`<p class="muted loading" role="status">Asking for the parameters of ${job.name} …</p>`}
      ${groupsOf(fields).map(
        ({ group, fields: members }) => html`<div class="group" key=${group}>
          ${group && !(members.length === 1 && members[0].title === group) && html`<h2 class="group-title">${group}</h2>`}
          ${members.map((field) => {
            const now = told.value.values[field.name];
            return html`<${Control} key=${field.name} field=${field} value=${field.name in values.value ? values.value[field.name] : now}
              fault=${by_field[field.name]} on_change=${(value) => change(field, value)} tone=${changed.includes(field.name) ? "differs" : ""}
              note=${changed.includes(field.name) && html`<span class="state differing">${job.name} has ${shortly(now)}</span>`} />`;
          })}
        </div>`,
      )}
      ${
        told.value &&
        html`<div class="group"><div class="field text"><label for="fork-name">Name of the fork</label>
          <input id="fork-name" class="wide" type="text" autocomplete="off" placeholder="chosen by the gateway" maxlength="100"
            value=${name.value} aria-invalid=${by_field.name ? "true" : undefined} onInput=${(event) => (name.value = event.target.value)} />
          ${by_field.name && html`<p class="fault" role="alert">${by_field.name}</p>`}</div></div>
        <footer><button type="submit" class="button primary" disabled=${busy.value || !canRun.value}>${
          busy.value ? "Forking …" : html`${icon("fork")}Fork and compare`
        }</button>
          <a class="button quiet" href=${hrefs.job(key)}>Cancel</a>
          <span class="muted small" role="status">${
            canRun.value ? counted(changed.length) : "Your token may not start jobs (right “run”)."
          }</span></footer>`
      }
    </form>
  </div>`;
}

function counted(changed) {
  if (!changed) return "Nothing is different yet.";
  return changed === 1 ? "One value is different." : `${changed} values are different.`;
}
