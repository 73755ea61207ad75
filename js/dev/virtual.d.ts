/** Made by dev/serve.mjs: every panel's default export by name. */
declare module "virtual:panels" {
  const panels: Record<string, unknown>;
  export default panels;
}
