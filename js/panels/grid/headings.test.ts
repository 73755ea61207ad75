import { beforeEach, describe, expect, it } from "vitest";
import { geometry, headingOf } from "./geometry.js";
import { Headings, sectionUnder } from "./headings.js";
import type { Groups } from "./pages.js";

const groups: Groups = {
  column: "label",
  entries: [
    { value: '<img src=x onerror="alert(1)">', start: 0, count: 10 },
    { value: null, start: 10, count: 1200 },
  ],
  more: 3,
};
const laid = geometry(600, 500, 96, 2000, [0, 10, 1210]);

describe("headings", () => {
  let place: HTMLElement;
  let top: HTMLElement;
  let headings: Headings;

  beforeEach(() => {
    place = document.createElement("div");
    top = document.createElement("div");
    document.body.replaceChildren(place, top);
    headings = new Headings(place, top, (n) => n.toLocaleString("en"));
  });

  const words = (element: Element): string[] => [...element.children].map((one) => one.textContent ?? "");

  it("say value and count, as text whatever stands in the data", () => {
    headings.draw(laid, 0, 0, groups);
    expect([...place.children].map(words)).toEqual([
      [groups.entries[0]?.value, "10"],
      ["no value", "1,200"],
    ]);
    expect(document.querySelector("img")).toBeNull();
  });

  it("of all groups beyond the named ones are one, which says how many they are", () => {
    headings.draw(laid, headingOf(laid, 2).top + 50, 0, groups);
    expect(words(top.firstElementChild as Element)).toEqual(["3 more groups", "790"]);
  });

  it("stay at the top while their tiles pass, and are used again for other groups", () => {
    headings.draw(laid, 0, 0, groups);
    const elements = new Set(place.children);
    expect((top.firstElementChild as HTMLElement).hidden).toBe(true);
    headings.draw(laid, headingOf(laid, 2).top - 10, 0, groups);
    expect(words(top.firstElementChild as Element)).toEqual(["no value", "1,200"]);
    for (const element of place.children) expect(elements.has(element)).toBe(true);
  });

  it("are found by what was clicked in them", () => {
    headings.draw(laid, 0, 0, groups);
    const second = place.children[1] as HTMLElement;
    expect(sectionUnder(second.firstElementChild)).toBe(1);
    expect(sectionUnder(place)).toBeNull();
  });

  it("are gone when nothing is grouped", () => {
    headings.draw(laid, 0, 0, groups);
    headings.draw(geometry(600, 500, 96, 2000), 900, 0, null);
    expect(place.children).toHaveLength(0);
    expect((top.firstElementChild as HTMLElement).hidden).toBe(true);
  });
});
