// Beside watch.js: what goes over the websockets and in which messages, pictures that reach the canvas, blank tiles.
// Times are epoch milliseconds with fractions.
(() => {
  if (window.__bench) return;
  const now = () => performance.timeOrigin + performance.now();
  const bench = { now, points: Infinity, sent: null, first: null, all: null, ups: [], ops: new Map(), lastChange: 0 };
  window.__bench = bench;

  const reset = () => Object.assign(bench, { up: 0, down: 0, upMessages: 0, biggest: 0, biggestUp: 0, pictures: 0, frames: 0, since: now(), blank: 0, picture: null, released: null });
  bench.reset = reset;
  reset();
  /** From now on watches for the first and for all of so many points. */
  bench.arm = (points) => {
    reset();
    Object.assign(bench, { points, sent: null, first: null, all: null, drawn: 0, armed: true });
  };

  // ---- messages
  const utf8 = new TextDecoder();
  /** Header and content of a Jupyter message on a websocket (v1.kernel.websocket.jupyter.org). */
  const parts = (data) => {
    if (typeof data === "string" || data instanceof Blob) return null;
    const view = ArrayBuffer.isView(data) ? new DataView(data.buffer, data.byteOffset, data.byteLength) : new DataView(data);
    const at = (i) => Number(view.getBigUint64(8 * (i + 1), true));
    const read = (i) => JSON.parse(utf8.decode(new Uint8Array(view.buffer, view.byteOffset + at(i), at(i + 1) - at(i))));
    const header = read(1);
    // The start of a widget carries its whole module; nothing in it is looked for.
    return { type: header.msg_type, said: header.msg_type === "comm_msg" ? read(4).data?.content : null };
  };
  const look = (data) => {
    try {
      return parts(data);
    } catch {
      return null;
    }
  };
  const sizeOf = (data) => data.byteLength ?? data.length ?? data.size ?? 0;
  const Socket = window.WebSocket;
  bench.sockets = new Set();
  window.WebSocket = class extends Socket {
    constructor(...args) {
      super(...args);
      bench.sockets.add(this);
      this.addEventListener("close", () => bench.sockets.delete(this));
      this.addEventListener("message", (event) => {
        const size = sizeOf(event.data);
        bench.down += size;
        bench.biggest = Math.max(bench.biggest, size);
        const said = look(event.data)?.said;
        const op = said?.k === "res" ? bench.ops.get(said.id) : undefined;
        if (!op) return;
        op.down += size;
        op.first ??= now();
        if (said.last) op.last = now();
      });
    }
    send(data) {
      const size = sizeOf(data);
      bench.up += size;
      bench.upMessages++;
      bench.biggestUp = Math.max(bench.biggestUp, size);
      const message = look(data);
      if (bench.armed && bench.sent === null && message?.type === "execute_request") bench.sent = now();
      const said = message?.said;
      if (said?.k === "req") bench.ops.set(said.id, { op: said.op, sent: now(), first: null, last: null, up: size, down: 0 });
      return super.send(data);
    }
  };
  bench.log = () => [...bench.ops.values()];

  // ---- pictures
  const changed = (points) => {
    bench.fresh = true;
    bench.picture ??= now();
    bench.lastChange = now();
    if (!bench.armed) return;
    if (bench.first === null && points > 0) requestAnimationFrame(() => { bench.first ??= now(); });
    if (bench.all === null && points >= bench.points * 0.999) requestAnimationFrame(() => { bench.all ??= now(); });
  };
  /** Called by whoever puts a picture on a canvas by other means than WebGL, with the number of points in it. */
  bench.mark = changed;
  let last = null;
  /** Waits until the GPU, mostly one made of software, has done what it was told. */
  bench.drain = () => last?.readPixels(0, 0, 1, 1, last.RGBA, last.UNSIGNED_BYTE, new Uint8Array(4));
  const drew = (gl, vertices) => {
    if (vertices < 1000) return;
    last = gl;
    bench.fresh = true;
    bench.lastChange = now();
    if (bench.released && bench.picture === null) {
      bench.picture = Number.NaN; // on its way
      queueMicrotask(() => {
        bench.drain();
        bench.picture = now();
      });
    }
    if (!bench.armed || bench.all !== null) return;
    bench.drawn += vertices;
    const enough = bench.drawn >= bench.points * 0.98;
    if (bench.first !== null && !enough) return;
    queueMicrotask(() => {
      bench.drain();
      bench.first ??= now();
      if (enough) bench.all ??= now();
    });
  };
  // Which arguments say how much is drawn: vertices, or instances of a few vertices each.
  const DRAWS = [["drawArrays", 2], ["drawElements", 1], ["drawArraysInstanced", 2, 3], ["drawElementsInstanced", 1, 4]];
  const wrap = (owner, suffix, context) => {
    for (const [name, ...counts] of DRAWS) {
      const draw = owner[name + suffix];
      if (!draw) continue;
      owner[name + suffix] = function (...args) {
        const answer = draw.apply(this, args);
        drew(context ?? this, Math.max(...counts.map((position) => args[position])));
        return answer;
      };
    }
  };
  for (const kind of [window.WebGLRenderingContext, window.WebGL2RenderingContext]) {
    if (!kind) continue;
    wrap(kind.prototype, "");
    const extension = kind.prototype.getExtension;
    kind.prototype.getExtension = function (name) {
      const found = extension.call(this, name);
      if (found && /instanced_arrays/i.test(name) && !found.watched) {
        found.watched = true;
        wrap(found, "ANGLE", this);
      }
      return found;
    };
  }

  // ---- frames
  const inView = (box) => box.width > 8 && box.height > 8 && box.bottom > 0 && box.top < innerHeight;
  /** Tiles on screen, clipped by their scroller, and whether each one shows its picture. */
  bench.tiles = (selector) => {
    const found = [];
    for (const tile of document.querySelectorAll(selector)) {
      const box = tile.getBoundingClientRect();
      if (!inView(box)) continue;
      const frame = tile.closest("[data-dataide-panel]")?.getBoundingClientRect();
      if (frame && (box.bottom < frame.top + 4 || box.top > frame.bottom - 4)) continue;
      const picture = tile.matches("img") ? tile : tile.querySelector("img, canvas");
      const shown = picture !== null && (picture.tagName === "CANVAS" || (picture.complete && picture.naturalWidth > 0));
      found.push({ tile, shown, key: tile.dataset.sampleId ?? picture?.currentSrc ?? "" });
    }
    return found;
  };
  const blankSince = new Map();
  const tick = () => {
    bench.frames++;
    if (bench.fresh) {
      bench.fresh = false;
      bench.pictures++;
    }
    if (bench.watchTiles) {
      const t = now();
      const blank = new Set();
      for (const { tile, shown } of bench.tiles(bench.watchTiles)) {
        // A recycled element shows another sample elsewhere: its place in the list says which tile it stands for.
        if (shown) continue;
        const key = tile.getAttribute("aria-posinset") ?? tile.id ?? tile.dataset.no;
        blank.add(key);
        if (!blankSince.has(key)) blankSince.set(key, t);
        bench.blank = Math.max(bench.blank, t - blankSince.get(key));
      }
      for (const key of [...blankSince.keys()]) if (!blank.has(key)) blankSince.delete(key);
    }
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
  const letGo = () => {
    if (bench.ups.push(now()) > 1) return; // mouseup comes right after pointerup
    bench.picture = null;
    bench.biggestUp = 0;
    bench.released = { up: bench.up, down: bench.down };
  };
  for (const kind of ["pointerup", "mouseup"]) addEventListener(kind, letGo, true);

  /** Notes when a panel last changed, until nothing has for `quiet` ms; resolves with that time. */
  bench.settled = (root, quiet, longest) =>
    new Promise((done) => {
      const began = now();
      bench.lastChange = began;
      const note = () => { bench.lastChange = now(); };
      const seen = new MutationObserver(note);
      seen.observe(root, { subtree: true, childList: true, characterData: true, attributes: true, attributeFilter: ["src", "style", "aria-label"] });
      root.addEventListener("load", note, true);
      const look = () => {
        const idle = [...bench.ops.values()].every((op) => op.last !== null || op.sent < began - 60_000);
        if ((idle && now() - bench.lastChange > quiet) || now() - began > longest) {
          seen.disconnect();
          root.removeEventListener("load", note, true);
          done({ began, last: bench.lastChange, late: now() - began > longest });
        } else setTimeout(look, 20);
      };
      look();
    });

  bench.snapshot = () => {
    const { up, down, upMessages, biggest, biggestUp, pictures, frames, since, blank, sent, first, all, picture, released, ups } = bench;
    return { up, down, upMessages, biggest, biggestUp, pictures, frames, since, blank, sent, first, all, picture, released, ups: [...ups], now: now() };
  };
})();
