// @vitest-environment jsdom
import { describe, expect, test } from "vitest";
import type { ShownIssue } from "../../core/protocol.js";
import { geometry } from "./geometry.js";
import type { Pages, Tile } from "./pages.js";
import { Tiles } from "./tiles.js";

const ISSUE: ShownIssue = {
  kind: "label",
  state: "open",
  score: 0.07,
  proposal: "<i>dog</i>",
  confidence: 0.93,
  reason: "9 of 10 nearest neighbours are labelled dog.",
  cure: "label",
};
const TILE: Tile = {
  no: 4,
  id: "a.png",
  label: "cat",
  tags: [],
  queued: false,
  excluded: false,
  selected: false,
  caption: null,
  issues: [],
};

function drawn(...looks: Tile[]): HTMLElement {
  const place = document.createElement("div");
  document.body.append(place);
  const tiles = new Tiles(place, "t");
  const g = geometry(300, 300, 96, 1);
  for (const tile of looks) {
    const pages = { tile: () => tile, url: () => null, problems: new Map(), sizePx: () => 0 } as unknown as Pages;
    tiles.draw(g, { from: 0, to: 0 }, 0, 0, pages, { focused: 0, previewed: () => null, paint: () => {} });
  }
  return place.firstElementChild as HTMLElement;
}

const badges = (tile: HTMLElement) =>
  [...tile.querySelectorAll<HTMLElement>(".dataide-badge")].map((one) => `${one.dataset.kind} ${one.textContent}`);

describe("issues on a tile", () => {
  test("the first as a badge and how many more, each with its reason in the tooltip and for screen readers", () => {
    const { cure: _, ...dark } = { ...ISSUE, kind: "dark", proposal: null, confidence: null, reason: null };
    const tile = drawn({ ...TILE, issues: [ISSUE, dark], tags: ["glare"] });
    expect(badges(tile)).toEqual(["issue → <i>dog</i> 0.93 +1", "tag glare"]);
    expect(tile.title.split("\n")).toEqual([
      "a.png",
      "label: 9 of 10 nearest neighbours are labelled dog.",
      "dark: score 0.07, 0 is the most severe",
      "tags: glare",
    ]);
    expect(tile.getAttribute("aria-label")).toBe("a.png, cat, tag glare, issue → <i>dog</i> 0.93, issue dark");
    expect(tile.querySelector("i")).toBeNull();
  });

  test("an answer takes the badge away, and another reason is said", () => {
    expect(badges(drawn({ ...TILE, issues: [ISSUE] }, TILE))).toEqual([]);
    const other = drawn({ ...TILE, issues: [ISSUE] }, { ...TILE, issues: [{ ...ISSUE, reason: "Another." }] });
    expect(other.title).toBe("a.png\nlabel: Another.");
  });
});
