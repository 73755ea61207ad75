// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type FakeHub, fakeHub } from "../../dev/fake_hub.js";
import { type BarsProps, bars } from "./bars.js";

let fake: FakeHub;
beforeEach(() => {
  fake = fakeHub({ count: 10 });
});
afterEach(() => fake.end());

function names(column: string, ...values: (string | null)[]): (string | null)[] {
  const place = document.createElement("div");
  const props: BarsProps = {
    column,
    bars: values.map((value) => ({ value, total: 3, visible: 3, selected: 0 })),
    more: 0,
    stand: { kind: "none" },
    expanded: false,
    search: "",
    searchable: false,
    onToggle: () => undefined,
    onExpand: () => undefined,
    onSearch: () => undefined,
  };
  fake.hub.lit.render(bars(fake.hub, props), place);
  return [...place.querySelectorAll(".di-name")].map(({ textContent }) => textContent);
}

describe("values as bars", () => {
  it("call kinds of issues as all panels do, and leave the data's own words alone", () => {
    expect(names("issues", "near_duplicate", null)).toEqual(["near duplicate", "no value"]);
    expect(names("label", "near_duplicate")).toEqual(["near_duplicate"]);
  });
});
