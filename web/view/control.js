import { isoDuration, value as shortly } from "../live/format.js";
import { useEffect, useId, useRef } from "../vendor/vendor.js";
import { useTyped } from "./typed.js";
import { html, prose } from "./ui.js";

/**
 * One parameter's control, in the run form and in the panel of a running job alike.
 *
 * @param {{field: import("../live/schema.js").Field, value: any, fault?: string, invalid?: boolean, disabled?: boolean, untold?: boolean, note?: any,
 *   on_change: (value: any) => void}} props `note` stands under the control: what became of a change; `invalid` tells
 *   whether the value that is shown is the one at fault, `untold` that the effect is told elsewhere to those who see it
 */
export function Control({ field, value, fault, invalid = Boolean(fault), disabled = false, untold = false, note, tone = "", on_change }) {
  const id = useId();
  const Widget = WIDGETS[field.kind];
  const grouped = field.kind === "radio" || field.kind === "checks";
  const described = [field.description && `${id}-about`, `${id}-effect`, fault && `${id}-fault`, note && `${id}-note`]
    .filter(Boolean)
    .join(" ");
  const common = {
    id,
    field,
    value,
    disabled,
    on_change,
    "aria-describedby": described,
    "aria-invalid": invalid ? "true" : undefined,
  };
  const title = html`${field.title}${field.required && html`<span class="required"> (needed)</span>`}`;
  const effect = html`<${Effect} effect=${field.effect} id="${id}-effect" untold=${untold} />`;
  const body = html`
    <${Widget} ...${common} />
    ${field.description && html`<p class="about" id="${id}-about">${prose(field.description)}</p>`}
    ${fault && html`<p class="fault" role="alert" id="${id}-fault">${fault}</p>`}
    ${note && html`<div class="note" id="${id}-note">${note}</div>`}`;
  const classes = `field ${field.kind} ${tone}`;
  return grouped
    ? html`<fieldset class=${classes} data-field=${field.name} aria-describedby=${described}>
      <legend>${title}</legend>${effect}${body}</fieldset>`
    : html`<div class=${classes} data-field=${field.name} title=${untold ? field.description : undefined}><div class="field-head"><label for=${id}>${title}</label>${effect}</div>${body}</div>`;
}

/** What a change of a parameter does to the running job, in plain words. */
export const EFFECTS = {
  live: { word: "next batch", told: "A change holds from the next micro-batch on; nothing is interrupted." },
  restart: {
    word: "short restart",
    told: "For a change the query stops after its batch and goes on from the same place: a short pause, nothing is lost.",
  },
  reset: {
    word: "starts afresh",
    told: "For a change the job gives up what it has saved, and begins anew. You are asked first.",
  },
};

/** What a change does, as a word; the whole of it on pointing at it, and for a screen reader. */
export function Effect({ effect, id, untold = false }) {
  const { word, told } = EFFECTS[effect];
  return html`<span class=${untold ? "visually-hidden" : `effect ${effect}`} id=${id} title=${told}>${word}<span
    class="visually-hidden">. ${told}</span></span>`;
}

const WIDGETS = {
  slider: Slider,
  number: NumberBox,
  switch: Switch,
  radio: Radio,
  select: Select,
  checks: Checks,
  list: List,
  table: Table,
  duration: Duration,
  text: Text,
};

function numberOf(text, nullable) {
  if (text.trim() === "") return nullable ? null : text;
  const value = Number(text);
  // What is no number is sent as it was typed: the refusal, with its reason, comes from where the rule is.
  return Number.isNaN(value) ? text : value;
}

function Slider({ id, field, value, disabled, on_change, ...aria }) {
  const range = useRef();
  const { minimum, maximum, step } = field;
  const filled = Math.min(1, Math.max(0, (Number(value ?? minimum) - minimum) / (maximum - minimum)));
  useEffect(() => range.current.style.setProperty("--filled", `${(filled * 100).toFixed(1)}%`), [filled]);
  return html`<div class="slider-row">
    <input ref=${range} type="range" min=${minimum} max=${maximum} step=${step} value=${value} disabled=${disabled} tabindex="0"
      aria-label=${field.title} aria-valuetext="${value} ${field.unit}"
        onInput=${(event) => on_change(event.target.valueAsNumber)} />
    <${NumberBox} ...${{ id, field, value, disabled, on_change, ...aria }} />
  </div>`;
}

function NumberBox({ id, field, value, disabled, on_change, ...aria }) {
  const typed = useTyped(value ?? "", (text) => on_change(numberOf(text, field.nullable)));
  return html`<span class="boxed">
    <input id=${id} class="number" type="text" inputmode=${field.integer ? "numeric" : "decimal"} autocomplete="off"
    placeholder=${field.nullable ? "none" : undefined}
    disabled=${disabled} ...${typed} ...${aria} />${field.unit && html`<span class="unit" aria-hidden="true">${field.unit}</span>`}</span>`;
}

function Switch({ id, value, disabled, on_change, ...aria }) {
  return html`<button id=${id} type="button" role="switch" class="switch" aria-checked=${value === true} disabled=${disabled}
    onClick=${() => on_change(!value)} aria-describedby=${aria["aria-describedby"]}><i /></button>`;
}

function Radio({ id, field, value, disabled, on_change }) {
  return html`<div class="segments">${field.options.map(
    (
      option,
    ) => html`<label key=${option}><input type="radio" name=${id} checked=${value === option} disabled=${disabled}
      onChange=${() => on_change(option)} /><span>${String(option)}</span></label>`,
  )}</div>`;
}

function Select({ id, field, value, disabled, on_change, ...aria }) {
  const options = field.nullable ? [null, ...field.options] : field.options;
  return html`<select id=${id} disabled=${disabled} value=${options.indexOf(value)} ...${aria}
    onChange=${(event) => on_change(options[event.target.selectedIndex])}>
    ${options.map((option, index) => html`<option key=${index} value=${index} selected=${option === value}>${option ?? "none"}</option>`)}
  </select>`;
}

function Checks({ field, value = [], disabled, on_change }) {
  const chosen = new Set(Array.isArray(value) ? value : []);
  const toggle = (option) => on_change(field.options.filter((each) => chosen.has(each) !== (each === option)));
  return html`<div class="check-group">${field.options.map(
    (option) => html`<label key=${option}><input type="checkbox" checked=${chosen.has(option)} disabled=${disabled}
      onChange=${() => toggle(option)} /><span>${String(option)}</span></label>`,
  )}</div>`;
}

function List({ id, field, value, disabled, on_change, ...aria }) {
  const numeric = field.items.type === "number" || field.items.type === "integer";
  const read = (text) =>
    text
      .split(/[,\n]/)
      .map((each) => each.trim())
      .filter(Boolean)
      .map((each) => (numeric ? numberOf(each, false) : each));
  const typed = useTyped(Array.isArray(value) ? value.join(", ") : (value ?? ""), (text) => on_change(read(text)));
  return html`<textarea id=${id} rows="2" disabled=${disabled} placeholder="separated by commas" ...${typed} ...${aria} />`;
}

/** A list of rows, as JSON. */
function Table({ id, field, value, disabled, on_change, ...aria }) {
  const names = Object.keys(field.items.properties ?? {}).join(", ");
  const read = (text) => {
    try {
      return JSON.parse(text);
    } catch {
      return text; // sent as it was typed, like a number that is none
    }
  };
  const rows = Array.isArray(value) ? `[\n${value.map((row) => `  ${JSON.stringify(row)}`).join(",\n")}\n]` : (value ?? "");
  const typed = useTyped(rows, (text) => on_change(read(text)));
  return html`<textarea id=${id} rows="4" spellcheck="false" disabled=${disabled} placeholder="JSON: a list of objects with ${names}" ...${typed} ...${aria} />`;
}

function Duration({ id, field, value, disabled, on_change, ...aria }) {
  const typed = useTyped(value == null ? "" : isoDuration(value), (text) => on_change(text.trim() || (field.nullable ? null : "")));
  return html`<input id=${id} class="wide" type="text" autocomplete="off" disabled=${disabled} placeholder="30 s, 5 min, 1 h"
    title=${shortly(value)} ...${typed} ...${aria} />`;
}

function Text({ id, field, value, disabled, on_change, ...aria }) {
  const typed = useTyped(value ?? "", (text) => on_change(text === "" && field.nullable ? null : text));
  return html`<input id=${id} class="wide" type="text" autocomplete="off" disabled=${disabled} maxlength=${field.max_length} ...${typed} ...${aria} />`;
}
