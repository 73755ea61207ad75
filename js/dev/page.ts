/** The development page: the panels named in the address, all over one hub and one fake kernel. */
import "./page.css";
import "../hub/style.css";
import panels from "virtual:panels";
import type { Render } from "@anywidget/types";
import { fakeHub } from "./fake_hub.js";

const query = new URLSearchParams(location.search);
document.documentElement.dataset.jpThemeLight = String(query.get("theme") !== "dark");

const labels = query.get("labels") === "digits" ? [..."0123456789"] : undefined;
const fake = fakeHub({
  count: Number(query.get("count") ?? 10_000),
  ...(labels ? { labels } : {}),
  ...(query.has("most") ? { most: Number(query.get("most")) } : {}),
  delayMs: Number(query.get("delay") ?? 5),
});

const known = panels as Record<string, { render: Render }>;
const traits: Record<string, () => Record<string, unknown>> = {
  grid: () => ({
    boot: fake.kernel.boot({ op: "page", ask: { offset: 0, limit: 100, thumbs: true, px: 96, caption: null } }),
    config: { tile_px: 96, caption: null, height_px: 520 },
  }),
  inspector: () => ({ config: { no: 12, height_px: 520 } }),
  scatter: () => ({ config: { color: "label", projection: null, height_px: 520 } }),
  facets: () => ({ config: { columns: null, bars: 8, height_px: 520 } }),
  workbench: () => ({
    scatter: "anywidget:scatter",
    grid: "anywidget:grid",
    facets: "anywidget:facets",
    inspector: "anywidget:inspector",
    config: { height_px: 760 },
  }),
};

const children = Object.fromEntries(
  Object.entries(known).map(([name, panel]) => {
    const own = name === "inspector" ? { config: { no: null } } : (traits[name]?.() ?? {});
    const config = { ...(own.config as object), embedded: true };
    return [`anywidget:${name}`, { render: panel.render, traits: { ...own, config } }];
  }),
);

for (const name of (query.get("panel") ?? "grid").split(",")) {
  const place = document.createElement("div");
  document.querySelector("main")?.append(place);
  await known[name]?.render(fake.props(place, traits[name]?.() ?? {}, children));
}
Object.assign(window, { fake });
