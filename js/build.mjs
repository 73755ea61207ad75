/**
 * Bundles the hub and each panel into one ES module and one style sheet: dataide/static/NAME.js and NAME.css.
 *
 *   node build.mjs            build once, print the sizes, fail when a bundle is over its budget
 *   node build.mjs --watch    build again with each change, with source maps, for work on panels
 *
 * Every widget instance carries its module through the kernel's channel, and a browser never frees an evaluated module:
 * that is why the budgets are errors and not advice.
 */
import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";
import { engineSource } from "./panels/scatter/engine_source.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "..", "dataide", "static");
const watch = process.argv.includes("--watch");

const KB = 1024;
// The scatter plot carries, deflated, the module that its worker runs.
const BUDGETS = { hub: 84 * KB, scatter: 80 * KB, workbench: 48 * KB };
const PANEL_BUDGET = 44 * KB;

/** Bundle name -> the folder with its index.ts and style.css. */
function folders() {
  const found = { hub: join(here, "hub") };
  const panels = join(here, "panels");
  for (const name of existsSync(panels) ? readdirSync(panels).sort() : []) found[name] = join(panels, name);
  return Object.entries(found).filter(([, folder]) => existsSync(join(folder, "index.ts")));
}

const shared = {
  bundle: true,
  minify: !watch,
  sourcemap: watch ? "inline" : false,
  target: "es2022",
  legalComments: "none",
  logLevel: "warning",
  outdir: out,
  define: { "process.env.NODE_ENV": '"production"' },
  // Without "development" among the conditions lit-html resolves to its production build, which does not warn on the console.
  conditions: ["production", "module"],
};

function builds() {
  const scripts = {};
  const styles = {};
  for (const [name, folder] of folders()) {
    scripts[name] = join(folder, "index.ts");
    if (existsSync(join(folder, "style.css"))) styles[name] = join(folder, "style.css");
  }
  return [
    { ...shared, entryPoints: scripts, format: "esm", platform: "browser", metafile: true, plugins: [engineSource] },
    { ...shared, entryPoints: styles },
  ].filter((build) => Object.keys(build.entryPoints).length > 0);
}

function report(metafile) {
  const tooBig = [];
  for (const [name] of folders()) {
    const bytes = statSync(join(out, `${name}.js`)).size;
    const budget = BUDGETS[name] ?? PANEL_BUDGET;
    const css = join(out, `${name}.css`);
    const style = existsSync(css) ? `, ${(statSync(css).size / KB).toFixed(1)} KB css` : "";
    console.log(`${name.padEnd(10)} ${(bytes / KB).toFixed(1).padStart(5)} of ${budget / KB} KB${style}`);
    if (bytes > budget) tooBig.push(name);
  }
  const development = Object.keys(metafile?.inputs ?? {}).filter((path) => path.includes("/development/"));
  if (development.length > 0) {
    console.error(
      `A development build of a library is bundled: ${development.map((p) => relative(here, p)).join(", ")}`,
    );
    process.exitCode = 1;
  }
  if (tooBig.length > 0) {
    console.error(`Over budget: ${tooBig.join(", ")}. What grew shows \`npx esbuild --analyze\`.`);
    process.exitCode = 1;
  }
}

mkdirSync(out, { recursive: true });
rmSync(join(out, "sources.txt"), { force: true }); // hatch_build.py's note of what the files were built from
if (watch) {
  for (const build of builds()) {
    const context = await esbuild.context({ ...build, logLevel: "info" });
    await context.watch();
  }
} else {
  let metafile;
  for (const build of builds()) metafile = (await esbuild.build(build)).metafile ?? metafile;
  const names = new Set(folders().map(([name]) => name));
  for (const file of readdirSync(out)) if (!names.has(file.replace(/\.(js|css)$/, ""))) rmSync(join(out, file));
  report(metafile);
}
