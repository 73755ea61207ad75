import { defineConfig } from "vitest/config";
import { engineSourceForTests } from "./panels/scatter/engine_source.mjs";

export default defineConfig({
  plugins: [engineSourceForTests],
  test: {
    environment: "jsdom",
    include: ["**/*.test.ts"],
    exclude: ["node_modules/**"],
    passWithNoTests: true,
  },
});
