/**
 * Draws with a GPU. A point costs six bytes there: two uint16, a colour byte and the flags. Each class is drawn over the one
 * below; a vertex of another class is thrown away, so what is selected or filtered costs one byte a point to upload.
 */
import { type Cloud, FULL, type Row } from "./cloud.js";
import type { Palette } from "./palette.js";
import { type Mosaic, type Scene, thinned } from "./scene.js";

const POINT = `#version 300 es
layout(location = 0) in vec2 place;
layout(location = 1) in uint hue;
layout(location = 2) in uint flags;
uniform vec4 transform;
uniform float diameter;
uniform float opacity;
uniform int row;
uniform ivec4 rows;
uniform sampler2D palette;
flat out vec4 color;
void main() {
  bool ours = rows[int(flags & 3u)] == row;
  gl_Position = ours ? vec4(place * transform.xy + transform.zw, 0.0, 1.0) : vec4(2.0, 2.0, 2.0, 1.0);
  gl_PointSize = diameter + 1.0;
  color = vec4(texelFetch(palette, ivec2(int(hue), row), 0).rgb, opacity);
}`;

const DISC = `#version 300 es
precision highp float;
flat in vec4 color;
uniform float diameter;
out vec4 pixel;
void main() {
  float distance = length(gl_PointCoord - 0.5) * (diameter + 1.0);
  float alpha = color.a * clamp(0.5 * diameter + 0.5 - distance, 0.0, 1.0);
  if (alpha <= 0.0) discard;
  pixel = vec4(color.rgb * alpha, alpha);
}`;

const CORNER = `#version 300 es
uniform vec4 transform;
out vec2 place;
void main() {
  place = vec2(gl_VertexID & 1, gl_VertexID >> 1);
  gl_Position = vec4(place * transform.xy + transform.zw, 0.0, 1.0);
}`;

const CELLS = `#version 300 es
precision highp float;
in vec2 place;
uniform sampler2D cells;
out vec4 pixel;
void main() {
  pixel = vec4(texture(cells, place).rgb, 1.0);
}`;

/** The buffers of one cloud, filled up as it grows. */
class Held {
  cloud: Cloud | null = null;
  readonly array: WebGLVertexArrayObject;
  private readonly places: WebGLBuffer;
  private readonly hues: WebGLBuffer;
  private readonly flags: WebGLBuffer;
  private readonly list: WebGLBuffer;
  private loaded = 0;
  private colors = -1;
  private marks = -1;

  constructor(private readonly gl: WebGL2RenderingContext) {
    this.array = gl.createVertexArray() as WebGLVertexArrayObject;
    this.places = gl.createBuffer() as WebGLBuffer;
    this.hues = gl.createBuffer() as WebGLBuffer;
    this.flags = gl.createBuffer() as WebGLBuffer;
    this.list = gl.createBuffer() as WebGLBuffer;
    gl.bindVertexArray(this.array);
    for (const [at, buffer] of [this.places, this.hues, this.flags].entries()) {
      gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
      gl.enableVertexAttribArray(at);
      if (at === 0) gl.vertexAttribPointer(at, 2, gl.UNSIGNED_SHORT, true, 0, 0);
      else gl.vertexAttribIPointer(at, 1, gl.UNSIGNED_BYTE, 0, 0);
    }
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.list);
  }

  bind(cloud: Cloud): void {
    const { gl } = this;
    gl.bindVertexArray(this.array);
    if (this.cloud !== cloud) {
      gl.bindBuffer(gl.ARRAY_BUFFER, this.places);
      gl.bufferData(gl.ARRAY_BUFFER, cloud.xy.byteLength, gl.STATIC_DRAW);
      this.cloud = cloud;
      this.loaded = 0;
      this.colors = -1;
      this.marks = -1;
    }
    if (this.loaded < cloud.loaded) {
      gl.bindBuffer(gl.ARRAY_BUFFER, this.places);
      gl.bufferSubData(gl.ARRAY_BUFFER, 4 * this.loaded, cloud.xy, 2 * this.loaded, 2 * (cloud.loaded - this.loaded));
      this.loaded = cloud.loaded;
    }
    if (this.colors !== cloud.colorVersion) {
      gl.bindBuffer(gl.ARRAY_BUFFER, this.hues);
      gl.bufferData(gl.ARRAY_BUFFER, cloud.colors, gl.STATIC_DRAW);
      this.colors = cloud.colorVersion;
    }
    if (this.marks !== cloud.markVersion) {
      gl.bindBuffer(gl.ARRAY_BUFFER, this.flags);
      gl.bufferData(gl.ARRAY_BUFFER, cloud.flags, gl.DYNAMIC_DRAW);
      this.marks = cloud.markVersion;
    }
  }

  /** Draws `count` points of a class; returns how many vertices that took. */
  draw(cloud: Cloud, row: Row, count: number): number {
    const { gl } = this;
    const list = cloud.list(row);
    if (list) {
      gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, list, gl.STREAM_DRAW);
      gl.drawElements(gl.POINTS, count, gl.UNSIGNED_INT, 0);
      return count;
    }
    // The order is random: among so many of all points lie about `count` of this class.
    const vertices = Math.min(cloud.loaded, Math.ceil((cloud.loaded * count) / cloud.size(row)));
    gl.drawArrays(gl.POINTS, 0, vertices);
    return vertices;
  }
}

export class Gpu {
  private readonly points: Program;
  private readonly quad: Program;
  private readonly base: Held;
  private readonly detail: Held;
  private readonly corners: WebGLVertexArrayObject;
  private readonly paletteTexture: WebGLTexture;
  private readonly cellTexture: WebGLTexture;
  private palette: Uint32Array | null = null;
  private cells: Uint32Array | null = null;
  private last: { held: Held; cloud: Cloud } | null = null;

  constructor(private readonly gl: WebGL2RenderingContext) {
    this.points = new Program(gl, POINT, DISC);
    this.quad = new Program(gl, CORNER, CELLS);
    this.base = new Held(gl);
    this.detail = new Held(gl);
    this.corners = gl.createVertexArray() as WebGLVertexArrayObject;
    this.cellTexture = texture(gl, gl.LINEAR);
    this.paletteTexture = texture(gl, gl.NEAREST);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }

  /** Returns how many points were drawn. */
  draw(scene: Scene): number {
    const { gl } = this;
    const { canvas } = gl;
    const width = Math.max(1, Math.round(scene.size.width * scene.ratio));
    const height = Math.max(1, Math.round(scene.size.height * scene.ratio));
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    gl.viewport(0, 0, width, height);
    const { background } = scene.palette;
    gl.clearColor((background & 255) / 255, ((background >> 8) & 255) / 255, ((background >> 16) & 255) / 255, 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
    if (scene.mosaic) this.pave(scene, scene.mosaic);
    return scene.mosaic || !scene.cloud ? 0 : this.dots(scene, scene.cloud);
  }

  private dots(scene: Scene, cloud: Cloud): number {
    const { gl, points } = this;
    const held = cloud.positions ? this.detail : this.base;
    points.use();
    this.upload(scene.palette);
    held.bind(cloud);
    this.last = { held, cloud };
    const { ax, bx, ay, by } = scene.transform;
    gl.uniform4f(points.at("transform"), ...toClip(scene, 65535 * ax, bx, 65535 * ay, by));
    const [none = 0, hidden = 0, plain = 0, full = 0] = cloud.rows;
    gl.uniform4i(points.at("rows"), none, hidden, plain, full);
    let drawn = 0;
    for (const row of [0, 1, FULL] as const) {
      const count = thinned(cloud.size(row), scene.share);
      if (count === 0) continue;
      gl.uniform1i(points.at("row"), row);
      gl.uniform1f(points.at("diameter"), 2 * scene.radius[row] * scene.ratio);
      gl.uniform1f(points.at("opacity"), scene.opacity[row]);
      held.draw(cloud, row, count);
      drawn += count;
    }
    return drawn;
  }

  private pave(scene: Scene, mosaic: Mosaic): void {
    const { gl, quad } = this;
    quad.use();
    gl.bindVertexArray(this.corners);
    gl.bindTexture(gl.TEXTURE_2D, this.cellTexture);
    if (this.cells !== mosaic.cells) {
      this.cells = mosaic.cells;
      fill(gl, mosaic.width, mosaic.height, mosaic.cells);
    }
    const { ax, bx, ay, by } = mosaic.transform;
    gl.uniform4f(quad.at("transform"), ...toClip(scene, mosaic.width * ax, bx, mosaic.height * ay, by));
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
  }

  private upload({ table }: Palette): void {
    const { gl } = this;
    gl.bindTexture(gl.TEXTURE_2D, this.paletteTexture);
    if (this.palette === table) return;
    this.palette = table;
    fill(gl, 256, 3, table);
  }

  /** Milliseconds that all points of the last frame take when they are drawn again and waited for. */
  timed(): number {
    const { gl, last } = this;
    if (!last) return 0;
    const pixel = new Uint8Array(4);
    // Reading a pixel waits for all that was ordered before it.
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
    const started = performance.now();
    gl.bindVertexArray(last.held.array);
    gl.drawArrays(gl.POINTS, 0, last.cloud.loaded);
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
    return performance.now() - started;
  }

  dispose(): void {
    // A page may hold sixteen contexts; waiting for the garbage collector would take one from another panel.
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

/** From units that are `a` CSS pixels wide, the first at `b`, to what GL clips by. */
function toClip({ size }: Scene, ax: number, bx: number, ay: number, by: number): [number, number, number, number] {
  const perX = 2 / size.width;
  const perY = -2 / size.height;
  return [ax * perX, ay * perY, bx * perX - 1, by * perY + 1];
}

function texture(gl: WebGL2RenderingContext, filter: number): WebGLTexture {
  const made = gl.createTexture() as WebGLTexture;
  gl.bindTexture(gl.TEXTURE_2D, made);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, filter);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, filter);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
  return made;
}

function fill(gl: WebGL2RenderingContext, width: number, height: number, pixels: Uint32Array): void {
  const bytes = new Uint8Array(pixels.buffer, pixels.byteOffset, pixels.byteLength);
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, width, height, 0, gl.RGBA, gl.UNSIGNED_BYTE, bytes);
}

class Program {
  private readonly program: WebGLProgram;
  private readonly places = new Map<string, WebGLUniformLocation | null>();

  constructor(
    private readonly gl: WebGL2RenderingContext,
    vertex: string,
    fragment: string,
  ) {
    this.program = gl.createProgram();
    for (const [type, source] of [
      [gl.VERTEX_SHADER, vertex],
      [gl.FRAGMENT_SHADER, fragment],
    ] as const) {
      const shader = gl.createShader(type);
      if (!shader) throw new Error("the browser made no shader");
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(this.program, shader);
    }
    gl.linkProgram(this.program);
    if (!gl.getProgramParameter(this.program, gl.LINK_STATUS))
      throw new Error(gl.getProgramInfoLog(this.program) ?? "the shaders do not link");
  }

  use(): void {
    this.gl.useProgram(this.program);
  }

  at(name: string): WebGLUniformLocation | null {
    if (!this.places.has(name)) this.places.set(name, this.gl.getUniformLocation(this.program, name));
    return this.places.get(name) ?? null;
  }
}
