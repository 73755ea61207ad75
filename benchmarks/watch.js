// Watches a page from its first moment: bytes that go up, the first drawing of points, the first screen full of
// pictures, and the moment the right count of the selection is on screen. Times are epoch milliseconds.
(() => {
  const seen = { up: 0, armed: false, started: 0, points: null, pictures: null, mouseUp: null, count: null, expected: null, tiles: "" };
  window.__seen = seen;

  const send = WebSocket.prototype.send;
  WebSocket.prototype.send = function (data) {
    const size = data.byteLength ?? data.length;
    if (seen.mouseUp && seen.firstMessage === undefined) seen.firstMessage = size;
    seen.up += size;
    return send.call(this, data);
  };

  const drew = () => {
    if (seen.armed && seen.points === null) requestAnimationFrame(() => { seen.points ??= Date.now(); });
  };
  for (const kind of [WebGLRenderingContext, WebGL2RenderingContext]) {
    for (const [name, position] of [["drawArrays", 2], ["drawElements", 1], ["drawArraysInstanced", 3]]) {
      const draw = kind.prototype[name];
      if (!draw) continue;
      kind.prototype[name] = function (...args) {
        if (args[position] >= 1000) drew();
        return draw.apply(this, args);
      };
    }
  }
  const put = CanvasRenderingContext2D.prototype.putImageData;
  CanvasRenderingContext2D.prototype.putImageData = function (...args) {
    if (seen.armed && seen.points === null) {
      // A background alone has one colour; going through all pixels of a picture of many would hold the page up.
      const colours = new Set();
      let last = -1;
      for (const pixel of new Uint32Array(args[0].data.buffer)) {
        if (pixel === last) continue;
        colours.add((last = pixel));
        if (colours.size > 8) break;
      }
      if (colours.size > 8) drew();
    }
    return put.apply(this, args);
  };

  const shown = (tile) => {
    const picture = tile.matches("img, canvas") ? tile : tile.querySelector("img, canvas");
    return picture !== null && (picture.tagName === "CANVAS" || (picture.complete && picture.naturalWidth > 0));
  };
  const inView = (tile) => {
    const box = tile.getBoundingClientRect();
    return box.width > 0 && box.top < innerHeight && box.bottom > 0;
  };
  const look = () => {
    if (seen.armed && seen.pictures === null && seen.tiles) {
      const tiles = [...document.querySelectorAll(seen.tiles)].filter(inView);
      if (tiles.length >= 12 && tiles.every(shown)) seen.pictures = Date.now();
    }
    if (seen.mouseUp && seen.count === null && seen.expected !== null) {
      const status = document.querySelector('[data-dataide-panel] [role="status"]');
      if (status?.textContent.replaceAll(",", "").trim().startsWith(`${seen.expected} of`)) seen.count = Date.now();
    }
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);

  const letGo = () => {
    seen.mouseUp = Date.now();
    seen.count = null;
    seen.firstMessage = undefined;
  };
  addEventListener("pointerup", letGo, true);
})();
