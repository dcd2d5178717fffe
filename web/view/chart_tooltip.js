import { quantity, time } from "../live/format.js";

const MAX_LINES = 10;

/** What the lines are at the place that the pointer is at. */
export class ChartTooltip {
  #element = document.createElement("div");

  /** @param {HTMLElement} over */
  constructor(over) {
    this.#element.className = "tooltip";
    this.#element.hidden = true;
    over.append(this.#element);
  }

  hide() {
    this.#element.hidden = true;
  }

  /**
   * @param {(number | null)[][]} data @param {number} index @param {{label: string, hue: number}[]} lines
   * @param {string} unit @param {number} left_px @param {number} width_px
   */
  show(data, index, lines, unit, left_px, width_px) {
    const values = lines
      .map((line, position) => ({ ...line, value: lastUpTo(data[position + 1], index) }))
      .filter(({ value }) => value != null)
      .sort((a, b) => b.value - a.value);
    this.#element.replaceChildren(row("tooltip-time", "", time(data[0][index] * 1000)));
    for (const { label, hue, dash, value } of values.slice(0, MAX_LINES)) {
      const element = row("tooltip-line", label, quantity(value, unit));
      element.prepend(Object.assign(document.createElement("i"), { className: `swatch hue-${hue % 12}${dash ? " dash-3" : ""}` }));
      this.#element.append(element);
    }
    if (values.length > MAX_LINES)
      this.#element.append(row("tooltip-more", "", `and ${values.length - MAX_LINES} more`));
    this.#element.hidden = false;
    const leftwards = left_px > width_px / 2;
    this.#element.style.transform = `translateX(${leftwards ? left_px - 14 : left_px + 14}px)${leftwards ? " translateX(-100%)" : ""}`;
  }
}

/** Not every line has a value at every time: the last one before holds. */
function lastUpTo(values, index) {
  for (let i = index; i >= 0 && i > index - 40; i--) if (values[i] != null) return values[i];
  return null;
}

function row(class_name, name, text) {
  const element = document.createElement("div");
  element.className = class_name;
  if (name) element.append(Object.assign(document.createElement("span"), { textContent: name }));
  element.append(Object.assign(document.createElement("b"), { textContent: text }));
  return element;
}
