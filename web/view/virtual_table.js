import { painter } from "../live/painting.js";

const ROW_PX = 30;
const SPARE_ROWS = 4;

/**
 * A table that keeps as many rows in the document as can be seen, whatever their number. Rows have a fixed height; the
 * elements are used again while scrolling. It paints at most once per animation frame.
 *
 * @typedef {{name: string, numeric?: boolean, wide?: boolean, render: (row: any, cell: HTMLElement) => void}} TableColumn
 */
export class VirtualTable {
  #element;
  #columns = [];
  #count;
  #row;
  #label;
  #body;
  #pool = [];
  #painter;
  #scroller;
  #observer;

  /**
   * @param {HTMLElement} element
   * @param {{label: string, count: () => number, row: (index: number) => any,
   *   on_sort?: (column: string) => void, decorate?: (element: HTMLElement, row: any) => void}} options
   */
  constructor(element, { label, count, row, on_sort, decorate = () => {} }) {
    this.#element = element;
    this.#label = label;
    this.#count = count;
    this.#row = row;
    this.on_sort = on_sort;
    this.decorate = decorate;
    this.#scroller = make("div", "table-scroll", { tabIndex: 0 });
    this.#scroller.setAttribute("role", "table");
    this.#scroller.setAttribute("aria-label", label);
    element.append(this.#scroller);
    this.#painter = painter(() => this.#paint());
    this.#scroller.addEventListener("scroll", () => this.#paint(), { passive: true });
    this.#observer = new ResizeObserver(() => this.#paint());
    this.#observer.observe(this.#scroller);
  }

  /** @param {TableColumn[]} columns @param {{column?: string, direction?: 1 | -1}} [sort] */
  setColumns(columns, sort = {}) {
    this.#columns = columns;
    this.#pool = [];
    const widths = columns.map(({ name, numeric, wide }) =>
      Math.max(wide ? 260 : numeric ? 88 : 120, name.length * 7 + 30),
    );
    const template = columns.map(({ wide }, index) => `minmax(${widths[index]}px, ${wide ? 4 : 1}fr)`).join(" ");
    this.#scroller.style.setProperty("--columns", template);
    this.#scroller.style.setProperty("--least", `${widths.reduce((sum, width) => sum + width, 0)}px`);
    const head = make("div", "table-head", {}, "rowgroup");
    const row = make("div", "table-row", {}, "row");
    row.setAttribute("aria-rowindex", "1");
    row.append(...columns.map((column) => this.#header(column, sort)));
    head.append(row);
    this.#body = make("div", "table-body", {}, "rowgroup");
    this.#scroller.replaceChildren(head, this.#body);
    this.#scroller.setAttribute("aria-colcount", String(columns.length));
    this.invalidate();
  }

  invalidate() {
    this.#painter.invalidate();
  }

  /** Paint now, even while painting is paused: the user asked. */
  repaint() {
    this.#paint();
  }

  get scroll_top() {
    return this.#scroller.scrollTop;
  }

  scrollToEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  /** @param {number} rows how many were put in above the first one in view, which is to stay where it is */
  shift(rows) {
    this.#scroller.scrollTop += rows * ROW_PX;
  }

  dispose() {
    this.#painter.dispose();
    this.#observer.disconnect();
    this.#scroller.remove();
  }

  #header({ name, numeric }, sort) {
    const header = make("div", `table-cell${numeric ? " numeric" : ""}`, {}, "columnheader");
    if (!this.on_sort) {
      header.textContent = name;
      return header;
    }
    const active = sort.column === name;
    header.setAttribute("aria-sort", active ? (sort.direction > 0 ? "ascending" : "descending") : "none");
    const button = make("button", "sort", { type: "button", textContent: name });
    if (active) button.dataset.direction = sort.direction > 0 ? "up" : "down";
    button.addEventListener("click", () => this.on_sort(name));
    header.append(button);
    return header;
  }

  #paint() {
    if (!this.#columns.length) return;
    const count = this.#count();
    this.#scroller.setAttribute("aria-rowcount", String(count + 1));
    this.#body.style.height = `${count * ROW_PX}px`;
    const first = Math.max(0, Math.floor(this.#scroller.scrollTop / ROW_PX) - SPARE_ROWS);
    const last = Math.min(count, first + Math.ceil(this.#scroller.clientHeight / ROW_PX) + 2 * SPARE_ROWS);
    while (this.#pool.length < last - first) this.#pool.push(this.#makeRow());
    this.#pool.forEach((element, index) => {
      const at = first + index;
      const row = at < last ? this.#row(at) : undefined;
      element.hidden = row === undefined;
      if (row === undefined) return;
      element.style.transform = `translateY(${at * ROW_PX}px)`;
      element.setAttribute("aria-rowindex", String(at + 2));
      this.#columns.forEach((column, position) => column.render(row, element.children[position]));
      this.decorate(element, row);
    });
    this.#element.dataset.rows = count;
  }

  #makeRow() {
    const row = make("div", "table-row", {}, "row");
    row.append(
      ...this.#columns.map(({ numeric }) => make("div", `table-cell${numeric ? " numeric" : ""}`, {}, "cell")),
    );
    this.#body.append(row);
    return row;
  }
}

/** A column that shows a field as text, touching the document only when it has changed. */
export function textColumn(name, options, text) {
  return {
    name,
    ...options,
    render: (row, cell) => {
      const shown = text(row);
      if (cell.textContent !== shown) {
        cell.textContent = shown;
        cell.title = shown.length > 24 ? shown : "";
      }
    },
  };
}

function make(name, class_name, properties = {}, role) {
  const element = Object.assign(document.createElement(name), properties);
  element.className = class_name;
  if (role) element.setAttribute("role", role);
  return element;
}
