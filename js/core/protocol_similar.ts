/** Messages about similarity: by what, and how similar everything is. The twin of dataide/widgets/protocol_similar.py. */
import type { Sort } from "./protocol.js";

/** What something can be similar to. `box` is left, top, width, height as shares (0…1) of the upright picture. */
export type SimilarTarget =
  | { type: "selection" }
  | { type: "samples"; nos: number[] }
  | { type: "region"; no: number; box: number[] }
  | { type: "object"; no: number };

/** A new search, or one more example for the ranking by which the grid is sorted: of what is wanted, or of what is not. */
export type SimilarMode = "replace" | "like" | "unlike";

/** What passes the filter and is at least so similar. */
export type AboveShape = { type: "above"; token: string; threshold: number };

export interface SimilarOperations {
  // Sets the sort to similarity with the examples, and answers with it. `unlike` comes with a new search only.
  similar: {
    ask: { target: SimilarTarget; mode?: SimilarMode; unlike?: SimilarTarget };
    answer: { sort: Sort; count: number; embedding: string };
  };
  // How similar what passes the filter is: `counts` in equal bins from `low` to `high`, and how many are `above` the threshold.
  // Without a threshold the kernel says where a handle may begin.
  ranked: {
    ask: { token: string; threshold: number | null };
    answer: {
      token: string;
      like: number;
      unlike: number;
      low: number;
      high: number;
      counts: number[];
      threshold: number;
      above: number;
      total: number;
    };
  };
}
