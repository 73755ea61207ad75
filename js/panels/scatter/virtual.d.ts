/** The module of worker.ts, built into one string, deflated and in base64, by engine_source.mjs. */
declare module "virtual:scatter-engine" {
  const source: string;
  export default source;
}
