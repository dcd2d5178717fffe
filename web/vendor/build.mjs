// Makes vendor.js, arrow.js, uplot.css, VENDOR.json and LICENSES.txt from the locked packages:
// `npm ci --ignore-scripts && node node_modules/esbuild/install.js && node build.mjs`.
// Run by hand when a library is renewed; nobody needs node to run or to edit the dashboard.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";

const here = import.meta.dirname;
const modules = join(here, "node_modules");
const read = (...parts) => readFileSync(join(...parts), "utf8");

/** Make `outfile` of `entry`, and return what it is made of: what was bundled is what must be named. */
async function bundle(entry, outfile) {
  const { metafile } = await build({
    absWorkingDir: here,
    entryPoints: [entry],
    outfile,
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    legalComments: "none",
    metafile: true,
  });
  return Object.keys(metafile.inputs)
    .map((input) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1])
    .filter(Boolean);
}

const packages = new Set([
  "uplot",
  ...(await bundle("entry.js", "vendor.js")),
  ...(await bundle("entry_arrow.js", "arrow.js")),
]);

writeFileSync(join(here, "uplot.css"), `${read(modules, "uplot/dist/uPlot.min.css").trim()}\n`);

const licences = [];
const listed = [];
for (const name of [...packages].sort()) {
  const folder = join(modules, name);
  const { version, license } = JSON.parse(read(folder, "package.json"));
  const entries = readdirSync(folder);
  const file = entries.find((entry) => /^licen[cs]e/i.test(entry));
  if (!file) throw new Error(`${name} ships no licence text`);
  // Apache-2.0, 4 (d): a notice goes along with what it belongs to.
  const notice = entries.find((entry) => /^notice/i.test(entry));
  const texts = [notice, file].filter(Boolean).map((each) => read(folder, each).trim());
  listed.push({ name, version, license, source: `https://www.npmjs.com/package/${name}/v/${version}` });
  licences.push(`${name} ${version} (${license})\n${"=".repeat(78)}\n\n${texts.join("\n\n")}\n`);
}
writeFileSync(join(here, "LICENSES.txt"), licences.join("\n\n"));

const sha256 = (name) =>
  createHash("sha256")
    .update(readFileSync(join(here, name)))
    .digest("hex");
const files = Object.fromEntries(
  ["vendor.js", "arrow.js", "uplot.css", "LICENSES.txt"].map((name) => [name, { sha256: sha256(name) }]),
);
writeFileSync(join(here, "VENDOR.json"), `${JSON.stringify({ packages: listed, files }, null, 2)}\n`);
