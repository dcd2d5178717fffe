import { rowsOf } from "./arrow_rows.js";

/**
 * What reads Arrow: the module `apache-arrow`, or the part of it that every gateway serves as `/vendor/arrow.js`.
 *
 * @typedef {{tableFromIPC: (bytes: Uint8Array) => any}} ArrowLibrary
 */

/** The vendored library, where it lies in relation to this file. @returns {Promise<ArrowLibrary>} */
export const vendored = () => import("../vendor/arrow.js");

const HEAD_LENGTH_BYTES = 4;

/**
 * A binary frame of `rivulet.v1.arrow`: the length of the head (4 bytes, big-endian), the head in JSON, an Arrow IPC stream.
 *
 * @param {ArrayBuffer} data
 * @param {ArrowLibrary} library
 * @returns {import("../generated/protocol.js").Publication & {table: any}} the publication with its rows as an Arrow table;
 *   `rows` are made of it when they are first looked at. Throws where the bytes are no such frame
 */
export function readBinary(data, library) {
  if (data.byteLength < HEAD_LENGTH_BYTES) throw new RangeError("a binary frame starts with the length of its head");
  const length = new DataView(data).getUint32(0);
  if (data.byteLength < HEAD_LENGTH_BYTES + length)
    throw new RangeError(`a binary frame of ${data.byteLength} bytes cannot have a head of ${length}`);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(data, HEAD_LENGTH_BYTES, length)));
  const table = library.tableFromIPC(new Uint8Array(data, HEAD_LENGTH_BYTES + length));
  let rows;
  return Object.defineProperties(head, {
    table: { value: table, enumerable: true },
    rows: { get: () => (rows ??= rowsOf(table)), enumerable: false }, // so that a copy or a print does not make them
  });
}
