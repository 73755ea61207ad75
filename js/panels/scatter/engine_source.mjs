/**
 * The scatter's points as one string, deflated and in base64, which is less than half as long:
 * `import source from "virtual:scatter-engine"`. A plugin for esbuild (build.mjs and dev/serve.mjs) and one for vitest.
 */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { deflateRawSync } from "node:zlib";
import * as esbuild from "esbuild";

const NAME = "virtual:scatter-engine";
const here = dirname(fileURLToPath(import.meta.url));

async function built(minify = true) {
  const made = await esbuild.build({
    absWorkingDir: here,
    entryPoints: [join(here, "worker.ts")],
    bundle: true,
    minify,
    write: false,
    metafile: true,
    format: "esm",
    target: "es2022",
    legalComments: "none",
    logLevel: "warning",
  });
  const files = Object.keys(made.metafile.inputs).map((path) => join(here, path));
  return { text: deflateRawSync(made.outputFiles[0].contents, { level: 9 }).toString("base64"), files };
}

export const engineSource = {
  name: "scatter-engine",
  setup(build) {
    build.onResolve({ filter: new RegExp(`^${NAME}$`) }, () => ({ path: NAME, namespace: "scatter-engine" }));
    build.onLoad({ filter: /.*/, namespace: "scatter-engine" }, async () => {
      const { text, files } = await built(build.initialOptions.minify);
      return { contents: text, loader: "text", watchFiles: files };
    });
  },
};

export const engineSourceForTests = {
  name: "scatter-engine",
  resolveId: (id) => (id === NAME ? `\0${NAME}` : undefined),
  load: async (id) => (id === `\0${NAME}` ? `export default ${JSON.stringify((await built()).text)};` : undefined),
};
