/**
 * Serves the panels over a fake kernel, for working on them without Jupyter:
 *
 *   node dev/serve.mjs [port]      then open the printed address; a reload builds anew
 *
 * /scatter.html shows the points of a scatter alone, by the million: see scatter.ts.
 * Parameters of the address: panel=grid (or several: scatter,grid), theme=dark, count=100000, delay=200 (ms), labels=digits,
 * most=5000 (more points than these are seen as density).
 */

import { existsSync, readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";
import { engineSource } from "../panels/scatter/engine_source.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const js = join(here, "..");
const port = Number(process.argv[2] ?? 8765);

const panels = () => readdirSync(join(js, "panels")).filter((name) => existsSync(join(js, "panels", name, "index.ts")));

/** The page imports "virtual:panels": every panel there is, so that a new folder needs no change here. */
const panelsPlugin = {
  name: "panels",
  setup(build) {
    build.onResolve({ filter: /^virtual:panels$/ }, () => ({ path: "panels", namespace: "panels" }));
    build.onLoad({ filter: /.*/, namespace: "panels" }, () => {
      const imports = panels().map((name) => {
        const style = existsSync(join(js, "panels", name, "style.css")) ? `import "./panels/${name}/style.css";\n` : "";
        return `${style}import ${name} from "./panels/${name}/index.ts";`;
      });
      return {
        contents: `${imports.join("\n")}\nexport default { ${panels().join(", ")} };`,
        resolveDir: js,
        loader: "ts",
      };
    });
  },
};

async function bundle() {
  const built = await esbuild.build({
    entryPoints: [join(here, "page.ts"), join(here, "scatter.ts")],
    bundle: true,
    write: false,
    outdir: "/",
    format: "esm",
    target: "es2022",
    sourcemap: "inline",
    logLevel: "warning",
    plugins: [panelsPlugin, engineSource],
  });
  return Object.fromEntries(built.outputFiles.map((file) => [file.path, file.text]));
}

const PAGES = { "/": "index.html", "/scatter.html": "scatter.html" };
let files = {};
const server = createServer(async (request, response) => {
  const { pathname } = new URL(request.url ?? "/", "http://localhost");
  try {
    const page = PAGES[pathname];
    if (page) files = await bundle();
    const type = pathname.endsWith(".css") ? "text/css" : pathname.endsWith(".js") ? "text/javascript" : "text/html";
    const body = page ? await readFile(join(here, page), "utf8") : files[pathname];
    response.writeHead(body === undefined ? 404 : 200, {
      "content-type": `${type}; charset=utf-8`,
      "cache-control": "no-store",
    });
    response.end(body ?? "not found");
  } catch (error) {
    response.writeHead(500, { "content-type": "text/plain; charset=utf-8" });
    response.end(String(error));
  }
});
server.listen(port, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/?panel=grid`));
