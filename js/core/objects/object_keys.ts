/** The keys of objects in the inspector, for the table of keys. */
export const OBJECT_KEYS: readonly (readonly [string, string])[] = [
  ["O", "Show or hide objects"],
  ["B", "Draw a box"],
  ["Tab", "Select an object, as a click does"],
  ["Shift + click", "Select several objects"],
  ["← → ↑ ↓", "With one selected: move it by 1 px, with Shift by 10 px"],
  ["L, Delete", "Relabel, delete what is selected"],
  ["S, Shift + S, U", "With one selected: by similarity to it; more like it, less like it"],
  ["G, Shift + G", "Drag over a region: by similarity to it; more like it"],
  ["Esc", "Leave drawing, the object, the inspector"],
];
