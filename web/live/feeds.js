import { Emitter } from "../client/emitter.js";
import { signal } from "../vendor/vendor.js";
import { KeyedRows } from "./keyed_rows.js";
import { CREDIT, keepTo, outputPace, pace } from "./pace.js";
import { arrived } from "./painting.js";
import { RowRing } from "./row_ring.js";
import { Series } from "./series.js";
import { leave, listenTo } from "./streams.js";

const MAX_TABLE_ROWS = 5000;

/** A stream as a ring of rows: a job's progress, its events, its log. `change` comes with each publication. */
export class RowFeed extends Emitter {
  #off;

  /** @param {string} stream @param {{capacity?: number, since?: any, select?: string[], every_ms?: number}} [options] */
  constructor(stream, { capacity = MAX_TABLE_ROWS, since = "earliest", select, every_ms = 0 } = {}) {
    super();
    this.rows = new RowRing(capacity);
    /** The newest row. */
    this.latest = signal(undefined);
    const wanted = () => ({ every_ms: pace(every_ms) });
    this.subscription = listenTo(stream, { since, select, credit: CREDIT, ...wanted() });
    this.#off = keepTo(this.subscription, wanted);
    this.subscription.on("publication", ({ rows = [] }) => {
      for (const row of rows) this.rows.push(row);
      if (rows.length) this.latest.value = rows.at(-1);
      this.emit("change");
    });
  }

  /** @returns {any[]} oldest first */
  all() {
    return Array.from({ length: this.rows.size }, (_, index) => this.rows.at(this.rows.first + index));
  }

  close() {
    this.#off();
    leave(this.subscription);
  }
}

/** An output of a job: what its charts and its table are painted from. */
export class OutputFeed extends Emitter {
  #seen_shape = 0;
  #off;

  /**
   * @param {string} job its id @param {{name: string, mode: string, key: string[], time: string | null}} output
   * @param {{since: any, line_key?: string[]}} options `line_key`: the columns that tell lines apart, where that is not the output's key
   */
  constructor(job, output, { since, line_key = output.key }) {
    super();
    this.output = output;
    /** Single events rather than samples of something that goes on: drawn as points. */
    this.scattered = line_key !== output.key;
    /** Outputs whose rows are events on this one's lines. @type {OutputFeed[]} */
    this.accents = [];
    this.keyed = output.mode === "complete" || (output.mode === "update" && output.key.length > 0);
    this.series = new Series({ key: line_key, time: output.time });
    this.ring = this.keyed ? undefined : new RowRing(MAX_TABLE_ROWS);
    this.newest = this.keyed ? new KeyedRows(output.key, MAX_TABLE_ROWS) : undefined;
    /** Columns in the order of the schema, or of the first row. */
    this.columns = signal([]);
    /** Changes whenever there are other lines, columns or gaps. */
    this.shape = signal(0);
    this.publications = signal(0);
    this.newestRow = signal(undefined);
    /** Why nothing more comes, where that is so. */
    this.ended = signal("");
    const wanted = () => outputPace(output);
    this.subscription = listenTo(`${job}/${output.name}`, { since, credit: CREDIT, ...wanted() });
    this.#off = keepTo(this.subscription, wanted);
    this.subscription.on("subscribed", ({ schema }) => schema && this.#setColumns(schema.map(({ name }) => name)));
    this.subscription.on("publication", (publication) => this.#take(publication));
    this.subscription.on("ended", ({ reason }) => (this.ended.value = reason));
    this.subscription.on("gap", (gap) => {
      this.series.addGap(gap);
      this.shape.value += 1;
      this.emit("change");
    });
  }

  close() {
    this.#off();
    leave(this.subscription);
  }

  #setColumns(names) {
    if (names.join() !== this.columns.peek().join()) this.columns.value = names;
  }

  #take(publication) {
    const rows = publication.rows ?? [];
    if (rows.length && !this.columns.peek().length) this.#setColumns(Object.keys(rows[0]));
    this.series.add(publication);
    if (rows.length) this.newestRow.value = rows.at(-1);
    if (this.ring) for (const row of rows) this.ring.push(row);
    else if (this.output.mode === "complete") this.newest.replace(rows);
    else this.newest.update(rows);
    if (this.#seen_shape !== this.series.shape) this.shape.value += 1;
    this.#seen_shape = this.series.shape;
    this.publications.value = this.subscription.counts.publications;
    arrived(rows.length);
    this.emit("change");
  }
}
