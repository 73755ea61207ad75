/** A made-up session for working on panels without Jupyter: clusters of small pictures, some without label, one that cannot be read. */

export interface FakeSample {
  no: number;
  id: string;
  label: string | null;
  split: string;
  brightness: number;
  price: number | null;
  x: number;
  y: number;
  tags: Set<string>;
  queues: Map<string, string>;
  excluded: boolean;
  history: { at: string; author: string; sentence: string; undone: boolean }[];
}

export const UNREADABLE = 7;

/** Mulberry32: the same session for the same seed, so that screenshots can be compared. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export const DEFAULT_LABELS = ["bee", "bird", "cat", "dog", "fish", "fox", "frog", "horse", "owl", "snail"];

export function makeSamples(count: number, labels: readonly string[] = DEFAULT_LABELS, seed = 1): FakeSample[] {
  const next = random(seed);
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  return Array.from({ length: count }, (_, no) => {
    const group = Math.floor(next() * labels.length);
    const angle = (group / labels.length) * 2 * Math.PI;
    const spread = 0.6 + (group % 3) * 0.25;
    return {
      no,
      id:
        no === 3
          ? `<img src=x onerror="alert(1)"> "quoted" & long enough to be cut off somewhere.png`
          : `train/${labels[group]}/${String(no).padStart(5, "0")}.png`,
      label: next() < 0.02 ? null : (labels[next() < 0.03 ? Math.floor(next() * labels.length) : group] ?? null),
      split: next() < 0.8 ? "train" : "val",
      brightness: Math.min(Math.max(0.5 + normal() * 0.18, 0), 1),
      price: next() < 0.1 ? null : Math.round(10 ** (2 + next() * 4)),
      x: Math.cos(angle) * 5 + normal() * spread,
      y: Math.sin(angle) * 5 + normal() * spread,
      tags: new Set<string>(),
      queues: new Map<string, string>(),
      excluded: false,
      history: [],
    };
  });
}

/**
 * A picture as an uncompressed BMP: a figure with as many corners as its label's place, on a tinted ground. `region` is what is
 * seen of it: left, top, width, height as shares.
 */
export function picture(sample: FakeSample, longest: number, region: readonly number[] = [0, 0, 1, 1]): Uint8Array {
  const [left = 0, top = 0, across = 1, down = 1] = region;
  const [side, tall] = [across, down].map((one) =>
    Math.max(Math.round((longest * one) / Math.max(across, down)), 1),
  ) as [number, number];
  const row = Math.ceil((side * 3) / 4) * 4;
  const bytes = new Uint8Array(54 + row * tall);
  const view = new DataView(bytes.buffer);
  bytes.set([0x42, 0x4d]);
  view.setUint32(2, bytes.length, true);
  view.setUint32(10, 54, true);
  view.setUint32(14, 40, true);
  view.setInt32(18, side, true);
  view.setInt32(22, -tall, true);
  view.setUint16(26, 1, true);
  view.setUint16(28, 24, true);
  const next = random(sample.no + 11);
  const corners = 2 + (((sample.label?.length ?? 0) + (sample.label?.charCodeAt(0) ?? 0)) % 6);
  const turn = next() * Math.PI;
  const ground = [next() * 70 + 30, next() * 70 + 30, next() * 70 + 50].map(
    (value) => value * (0.5 + sample.brightness),
  );
  const ink = [next() * 120 + 120, next() * 120 + 120, next() * 120 + 120];
  for (let y = 0; y < tall; y++) {
    for (let x = 0; x < side; x++) {
      const dx = left + (across * (x + 0.5)) / side - 0.5;
      const dy = top + (down * (y + 0.5)) / tall - 0.5;
      const reach = 0.28 + 0.12 * Math.cos(corners * (Math.atan2(dy, dx) + turn));
      const color = Math.hypot(dx, dy) < reach ? ink : ground;
      const shade = 0.85 + 0.15 * next();
      for (let c = 0; c < 3; c++) bytes[54 + y * row + x * 3 + c] = Math.min((color[c] ?? 0) * shade, 255);
    }
  }
  return bytes;
}
