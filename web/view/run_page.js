import { RivuletError } from "../client/index.js";
import { say } from "../live/announcer.js";
import { connection, explain, may } from "../live/gateway.js";
import { functions, refreshFunctions } from "../live/jobs.js";
import { faultsByField, fieldsOf, groupsOf } from "../live/schema.js";
import { useEffect, useSignal } from "../vendor/vendor.js";
import { Control } from "./control.js";
import { hrefs } from "./router.js";
import { Empty, Title, html, icon, prose } from "./ui.js";

const canRun = may("run");

/** Choose a function, fill in its parameters, start it. */
export function RunPage({ chosen }) {
  useEffect(() => {
    refreshFunctions();
  }, []);
  const all = functions.value;
  if (all === undefined) return html`<p class="muted loading" role="status">Asking the gateway for its functions …</p>`;
  if (!all.length) {
    return html`<${Empty} level=${1} title="No functions yet">
      <p>A worker brings the functions it has: start one with <code>rivulet worker</code>, or
      give it your own with <code>--functions my_job.py</code>.</p><//>`;
  }
  const current = all.find(({ name }) => name === chosen) ?? all.find(({ error }) => !error);
  return html`<div class="page run-page">
    <header class="page-head"><div><${Title}>Start a job<//>
      <p class="muted">A job is one run of a function with the parameters that you give it.</p></div></header>
    <div class="run-body">
      <nav class="function-list"
        aria-label="Functions">${all.map((each) => html`<${FunctionLink} key=${each.name} declared=${each} current=${each === current} />`)}</nav>
      ${current && html`<${RunForm} key=${current.name} declared=${current} />`}
    </div>
  </div>`;
}

function FunctionLink({ declared, current }) {
  const { name, kind, title, error } = declared;
  if (error) {
    return html`<div class="function broken"><b>${name}</b>
      <span class="fault-text">${icon("warning")}could not be loaded</span><code>${error}</code></div>`;
  }
  return html`<a class="function" href=${hrefs.run(name)} aria-current=${current ? "page" : undefined}><b>${title || name}</b>
    <span class="muted small">${name} · ${kind}</span></a>`;
}

function Outputs({ outputs }) {
  if (!outputs.length) return null;
  return html`<p class="small outputs">Puts out ${outputs.map(({ name }) => html`<code key=${name}>${name}</code> `)}</p>`;
}

function RunForm({ declared }) {
  const fields = fieldsOf(declared.parameters);
  const values = useSignal({});
  const name = useSignal("");
  const faults = useSignal({ by_field: {}, others: [] });
  const busy = useSignal(false);
  const start = async (event) => {
    event.preventDefault();
    busy.value = true;
    try {
      const { job } = await connection.run(declared.name, {
        parameters: values.value,
        ...(name.value && { name: name.value }),
      });
      say(`Job ${job.name} is started`);
      location.hash = hrefs.job(job.name);
    } catch (error) {
      const listed = error instanceof RivuletError && error.faults.length ? error.faults : [{ detail: explain(error) }];
      faults.value = faultsByField(listed, ["name", ...fields.map((field) => field.name)]);
      requestAnimationFrame(() =>
        document.querySelector(".run-form [aria-invalid=true], .run-form .fault")?.scrollIntoView({ block: "center" }),
      );
    }
    busy.value = false;
  };
  const change = (field, value) => {
    values.value = { ...values.value, [field.name]: value };
    const { [field.name]: _, ...by_field } = faults.value.by_field;
    faults.value = { ...faults.value, by_field };
  };
  const { by_field, others } = faults.value;
  return html`<form class="card run-form" novalidate onSubmit=${start} aria-label="Parameters of ${declared.name}">
    <header><h2>${declared.title || declared.name}</h2>${declared.description && html`<p class="muted">${prose(declared.description)}</p>`}
      <${Outputs} outputs=${declared.outputs} /></header>
    ${others.length > 0 && html`<p class="fault banner" role="alert">${others.join("; ")}</p>`}
    ${groupsOf(fields).map(
      ({ group, fields: members }) => html`<div class="group" key=${group}>
      ${group && html`<h3 class="group-title">${group}</h3>`}
      ${members.map(
        (field) => html`<${Control} key=${field.name} field=${field} value=${values.value[field.name] ?? field.default}
        fault=${by_field[field.name]} on_change=${(value) => change(field, value)} />`,
      )}
    </div>`,
    )}
    <div class="group">
      <div class="field text"><label for="job-name">Name of the job</label>
        <input id="job-name" class="wide" type="text" autocomplete="off" placeholder=${declared.name}
          value=${name.value} maxlength="100"
          aria-invalid=${by_field.name ? "true" : undefined} aria-describedby="job-name-about"
            onInput=${(event) => (name.value = event.target.value)} />
        <p class="about" id="job-name-about">Its streams are called <code>${name.value || declared.name}/…</code></p>
        ${by_field.name && html`<p class="fault" role="alert">${by_field.name}</p>`}</div>
    </div>
    <footer><button type="submit" class="button primary"
      disabled=${busy.value || !canRun.value}>${busy.value ? "Starting …" : html`${icon("play")}Start`}</button>
      <a class="button quiet" href=${hrefs.jobs}>Cancel</a>
      ${!canRun.value && html`<span class="muted small">Your token may not start jobs (right “run”).</span>`}</footer>
  </form>`;
}
