// Run by a test in Python: reads a binary frame of `rivulet.v1.arrow` from standard input, and prints it with its rows in JSON.
import { readFileSync } from "node:fs";
import { readBinary, vendored } from "../../web/client/arrow.js";

const { buffer, byteOffset, byteLength } = readFileSync(0);
const { table, rows, ...head } = readBinary(buffer.slice(byteOffset, byteOffset + byteLength), await vendored());
const columns = table.schema.fields.map(({ name }) => name);
console.log(JSON.stringify({ head, columns, count: table.numRows, rows }));
