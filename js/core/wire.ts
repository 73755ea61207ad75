/** The only place where snake_case names of the wire become camelCase names of TypeScript, and back. */

const snake = (key: string): string => key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
const camel = (key: string): string => key.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());

function renamed(value: unknown, rename: (key: string) => string): unknown {
  if (Array.isArray(value)) {
    // Long arrays of numbers or strings (points of a lasso, numbers of a page) hold no keys: leave them as they are.
    return typeof value[0] === "object" ? value.map((item) => renamed(item, rename)) : value;
  }
  if (value === null || typeof value !== "object" || ArrayBuffer.isView(value) || value instanceof ArrayBuffer) {
    return value;
  }
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [rename(key), renamed(item, rename)]));
}

export const toWire = (message: unknown): unknown => renamed(message, snake);
export const fromWire = (message: unknown): unknown => renamed(message, camel);
