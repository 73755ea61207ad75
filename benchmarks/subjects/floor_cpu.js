// The page's side of floor_cpu.py.
const W = 1100, H = 600;
const INK = [0xb4771f, 0x0e7fff, 0x2ca02c, 0x2827d6, 0xbd6794, 0x4b568c, 0xc277e3, 0x7f7f7f, 0x22bdbc, 0xcfbe17].map((c) => (0xff000000 | c) >>> 0);
function render({ model, el }) {
  const canvas = Object.assign(document.createElement("canvas"), { width: W, height: H });
  el.append(canvas);
  const pen = canvas.getContext("2d", { alpha: false }), picture = pen.createImageData(W, H), pixels = new Uint32Array(picture.data.buffer);
  const count = model.get("count"), packed = model.get("packed"), bytes = new Uint8Array(packed.buffer, packed.byteOffset, packed.byteLength).slice();
  const xy = new Uint16Array(bytes.buffer, 0, 2 * count), classes = bytes.subarray(4 * count);
  const view = { x: 0, y: 0, zoom: 1 };
  let asked = false, drag = null, ring = null;
  const across = () => ({ ax: (W * view.zoom) / 65535, ay: (-H * view.zoom) / 65535, bx: view.x, by: H * view.zoom + view.y });
  const draw = () => {
    asked = false;
    pixels.fill(0xffffffff);
    const { ax, bx, ay, by } = across();
    for (let i = 0; i < count; i++) {
      const x = (xy[2 * i] * ax + bx) | 0, y = (xy[2 * i + 1] * ay + by) | 0;
      if (x >= 0 && y >= 0 && x < W && y < H) pixels[y * W + x] = INK[classes[i]];
    }
    pen.putImageData(picture, 0, 0);
    globalThis.__bench?.mark(count);
  };
  const ask = () => { if (!asked) { asked = true; requestAnimationFrame(draw); } };
  ask();
  const inside = (x, y) => {
    let odd = false;
    for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
      const [xi, yi] = ring[i], [xj, yj] = ring[j];
      if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) odd = !odd;
    }
    return odd;
  };
  const choose = () => {
    const bits = new Uint8Array((count + 7) >> 3), { ax, bx, ay, by } = across();
    // One byte for each cell of 4 px: 0 outside, 1 inside, 2 where the ring passes and each point is tested.
    const cell = 4, cw = Math.ceil(W / cell), ch = Math.ceil(H / cell), grid = new Uint8Array(cw * ch);
    for (let y = 0; y < ch; y++) for (let x = 0; x < cw; x++) grid[y * cw + x] = inside((x + 0.5) * cell, (y + 0.5) * cell) ? 1 : 0;
    for (let i = 0; i < ring.length; i++) {
      const [x0, y0] = ring[i], [x1, y1] = ring[(i + 1) % ring.length], steps = Math.ceil(Math.hypot(x1 - x0, y1 - y0)) + 1;
      for (let s = 0; s <= steps; s++) {
        const cx = Math.floor((x0 + ((x1 - x0) * s) / steps) / cell), cy = Math.floor((y0 + ((y1 - y0) * s) / steps) / cell);
        for (let y = cy - 1; y <= cy + 1; y++) for (let x = cx - 1; x <= cx + 1; x++) if (x >= 0 && y >= 0 && x < cw && y < ch) grid[y * cw + x] = 2;
      }
    }
    for (let i = 0; i < count; i++) {
      const x = xy[2 * i] * ax + bx, y = xy[2 * i + 1] * ay + by;
      if (!(x >= 0 && y >= 0 && x < W && y < H)) continue;
      const there = grid[((y / cell) | 0) * cw + ((x / cell) | 0)];
      if (there === 1 || (there === 2 && inside(x, y))) bits[i >> 3] |= 1 << (i & 7);
    }
    model.send({}, undefined, [bits.buffer]);
  };
  const at = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.x, event.clientY - box.y]; };
  canvas.onpointerdown = (event) => {
    canvas.setPointerCapture(event.pointerId);
    drag = at(event);
    ring = model.get("lasso") ? [drag] : null;
  };
  canvas.onpointermove = (event) => {
    if (!drag) return;
    const place = at(event);
    if (ring) return void ring.push(place);
    view.x += place[0] - drag[0];
    view.y += place[1] - drag[1];
    drag = place;
    ask();
  };
  canvas.onpointerup = () => {
    drag = null;
    if (ring) choose();
    ring = null;
  };
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const [x, y] = at(event), factor = Math.exp(-event.deltaY / 400);
    Object.assign(view, { zoom: view.zoom * factor, x: x - (x - view.x) * factor, y: y - (y - view.y) * factor });
    ask();
  }, { passive: false });
}
export default { render };
