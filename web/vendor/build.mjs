// Makes vendor.js, uplot.css, VENDOR.json and LICENSES.txt from the locked packages:
// `npm ci && node node_modules/esbuild/install.js && node build.mjs`.
// Run by hand when a library is renewed; nobody needs node to run or to edit the dashboard.
import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";

const here = import.meta.dirname;
const modules = join(here, "node_modules");
const read = (...parts) => readFileSync(join(...parts), "utf8");

const result = await build({
  absWorkingDir: here,
  entryPoints: ["entry.js"],
  outfile: "vendor.js",
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  legalComments: "none",
  metafile: true,
});

// What was bundled is what must be named: the list comes from the bundle itself.
const packages = new Set(["uplot"]);
for (const input of Object.keys(result.metafile.inputs)) {
  const match = /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input);
  if (match) packages.add(match[1]);
}

writeFileSync(join(here, "uplot.css"), `${read(modules, "uplot/dist/uPlot.min.css").trim()}\n`);

const licences = [];
const listed = [];
for (const name of [...packages].sort()) {
  const folder = join(modules, name);
  const { version, license } = JSON.parse(read(folder, "package.json"));
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  if (!file || !existsSync(join(folder, file))) throw new Error(`${name} ships no licence text`);
  const text = read(folder, file).trim();
  listed.push({ name, version, license, source: `https://www.npmjs.com/package/${name}/v/${version}` });
  licences.push(`${name} ${version} (${license})\n${"=".repeat(78)}\n\n${text}\n`);
}
writeFileSync(join(here, "LICENSES.txt"), licences.join("\n\n"));

const sha256 = (name) =>
  createHash("sha256")
    .update(readFileSync(join(here, name)))
    .digest("hex");
const files = Object.fromEntries(
  ["vendor.js", "uplot.css", "LICENSES.txt"].map((name) => [name, { sha256: sha256(name) }]),
);
writeFileSync(join(here, "VENDOR.json"), `${JSON.stringify({ packages: listed, files }, null, 2)}\n`);
