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

// What a search might have found: every 40th label, some duplicates, some dark pictures.
if (query.get("issues") !== "no") {
  for (const { no, label } of fake.kernel.session.samples.slice(0, 2_000)) {
    const { issues } = fake.kernel.session;
    if (no % 40 === 3) {
      const [proposal, score] = [label === "cat" ? "dog" : "cat", ((no * 7) % 60) / 100];
      const reason = `9 of 10 nearest neighbours are labelled ${proposal}.`;
      issues.found(no, { kind: "label", score, proposal, confidence: 1 - score, reason });
    }
    if (no % 100 === 7) issues.found(no, { kind: "near_duplicate", score: 0.4, proposal: no % 200 === 7 ? "exclude" : "keep", reason: "The same picture as another one, smaller." }); // biome-ignore format: one line
    if (no % 40 === 9) issues.found(no, { kind: "linter", score: 0.1 + (no % 200) / 250, proposal: no % 120 === 9 ? null : no % 80 === 9 ? "delete 2 boxes, move 1" : "relabel 1 box", reason: "Two boxes of dog overlap by 93%: one thing was drawn twice." }); // biome-ignore format: one line
    if (no % 150 === 3) issues.found(no, { kind: "dark", score: 0.1, reason: "Darker than 99.5% of the pictures." });
  }
  fake.kernel.session.issues.searched.push("outlier", "blurred", "low_information");
  fake.kernel.event("state", fake.kernel.session.state());
}

// Boxes and masks over every picture: objects=yes, or so many boxes: objects=10.
if (query.has("objects")) {
  fake.kernel.session.objects.make(2_000, Number(query.get("objects")) || 0);
  fake.kernel.event("state", fake.kernel.session.state());
}

const known = panels as Record<string, { render: Render }>;
const traits: Record<string, () => Record<string, unknown>> = {
  grid: () => ({
    boot: fake.kernel.boot({ op: "page", ask: { offset: 0, limit: 100, thumbs: true, px: 96, caption: null } }),
    config: { tile_px: 96, caption: null, height_px: 520 },
  }),
  inspector: () => ({ config: { no: 12, height_px: 520 } }),
  fix: () => ({
    config: { kind: query.get("kind"), state: "open", order: "severity", height_px: 560 },
  }),
  autotag: () => ({
    config: query.has("objects")
      ? { tag: "hat", of: "objects", view: "t", among: "all objects", show: "ask", tile_px: 104, height_px: 560 }
      : { tag: "fox", show: "ask", tile_px: 96, height_px: 560 },
  }),
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
