/** The gateway's REST API, as far as the dashboard needs it; commands go over the socket. */

/** A problem (RFC 9457) that the gateway answered with. */
export class Problem extends Error {
  constructor({ status, title, detail, code }) {
    super(detail || title || `the gateway answered ${status}`);
    this.name = "Problem";
    this.status = status;
    this.code = code;
  }
}

/**
 * @param {string} path @param {RequestInit} [init]
 * @returns {Promise<any>} the JSON body, or undefined for an empty one; rejects with Problem, or TypeError without a gateway
 */
async function call(path, init = {}) {
  const response = await fetch(path, {
    ...init,
    headers: { "content-type": "application/json", accept: "application/json" },
  });
  const text = await response.text();
  const body = response.headers.get("content-type")?.includes("json") && text ? JSON.parse(text) : undefined;
  if (!response.ok) throw new Problem({ ...body, status: response.status });
  return body;
}

export const getSession = () => call("/api/v1/session");
export const login = (token) => call("/api/v1/login", { method: "POST", body: JSON.stringify({ token }) });
export const logout = () => call("/api/v1/logout", { method: "POST" });
export const getStreams = async () => (await call("/api/v1/streams")).streams;
export const getFunctions = async () => (await call("/api/v1/functions")).functions;
