import type { Plugin } from "vitest/config";

export const engineSourceForTests: Plugin;
