/** Which points are meant, as the kernel says it in the fewest bytes: `Share` in core/protocol.ts. */
import type { Share } from "../../core/protocol.js";
import type { Bits } from "./engine.js";

/** The highest place of a bit in a varint: there are fewer than 2^28 points. */
const LAST_SHIFT = 21;

/** As the engine takes it, of so many points; null, which leaves what is there, where the buffer is missing. */
export function unfolded(share: Share, buffer: Uint8Array<ArrayBuffer> | undefined, total: number): Bits {
  if (share === "none" || share === "all") return share;
  if (!buffer) return null;
  if (share === "some") return buffer;
  const bits = new Uint8Array((total + 7) >> 3).fill(share === "except" ? 255 : 0);
  // Of what goes beyond the last point, or does not end, nothing counts.
  let gap = 0;
  let shift = 0;
  let at = -1;
  for (let i = 0; i < buffer.length && shift <= LAST_SHIFT; i++) {
    const byte = buffer[i] as number;
    gap |= (byte & 127) << shift;
    shift += 7;
    if (byte > 127) continue;
    at += gap + 1;
    if (at >= total) break;
    bits[at >> 3] = (bits[at >> 3] as number) ^ (1 << (at & 7)); // none comes twice
    gap = 0;
    shift = 0;
  }
  return bits;
}
