import { getStreams } from "./rest.js";

/** How much of a stream's past a page takes in at once, in bytes as the gateway counts them. */
const MAX_BYTES = 3 * 1024 * 1024;

/**
 * From where to subscribe to each of a job's streams: from all that is retained, or from as much of its end as a page can take in.
 *
 * @param {string} job its id
 * @returns {Promise<(output: string) => "earliest" | {epoch: string, offset: number}>} rejects with Problem, or TypeError without a gateway
 */
export async function startingPoints(job) {
  const streams = (await getStreams()).filter((stream) => stream.job === job);
  const points = new Map(streams.map((stream) => [stream.output, startOf(stream)]));
  return (output) => points.get(output) ?? "earliest";
}

/** @param {{epoch: string, offset: number, first_offset: number | null, retained_bytes: number}} stream as `GET /api/v1/streams` tells */
export function startOf({ epoch, offset, first_offset, retained_bytes }) {
  if (first_offset === null || retained_bytes <= MAX_BYTES) return "earliest";
  const publications = offset - first_offset + 1;
  return { epoch, offset: offset - Math.max(1, Math.floor((publications * MAX_BYTES) / retained_bytes)) };
}
