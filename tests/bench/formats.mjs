// Run by formats.py: times how one publication is read in each form, from its bytes to all of one column.
import { readFileSync } from "node:fs";
import { readBinary, vendored } from "../../web/client/arrow.js";

const library = await vendored();
const { folder, sizes } = JSON.parse(process.argv[2]);
const sum = (values) => {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i];
  return total;
};
const text = (bytes) => new TextDecoder().decode(bytes);
/** What a listener does that wants every value of a column. */
const readers = {
  rows: (bytes) => sum(JSON.parse(text(bytes)).rows.map(({ value }) => value)),
  columns: (bytes) => sum(JSON.parse(text(bytes)).columns.value),
  arrow: (bytes) => sum(readBinary(bytes, library).table.getChild("value").toArray()),
  "arrow, as rows": (bytes) => sum(readBinary(bytes, library).rows.map(({ value }) => value)),
};

function median_us(read, bytes) {
  const times = [];
  const until = performance.now() + 1500;
  while (performance.now() < until || times.length < 20) {
    const start = performance.now();
    read(bytes);
    times.push(performance.now() - start);
  }
  return 1000 * times.sort((a, b) => a - b)[times.length >> 1];
}

const measured = sizes.map((size) =>
  Object.fromEntries(
    Object.entries(readers).map(([form, read]) => {
      const file = readFileSync(`${folder}/${size}.${form.split(",")[0]}`);
      const bytes = file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength);
      return [form, { bytes: bytes.byteLength, us: median_us(read, bytes) }];
    }),
  ),
);
console.log(JSON.stringify(measured));
