/**
 * The renderer with a GPU. A point costs five bytes there: two uint16 and a colour byte; colours come from a small texture with
 * a row for each class. What is selected or filtered only changes the order of an index buffer, so places are uploaded once.
 */
import type { Points } from "./points.js";
import { type Frame, type Renderer, thinned } from "./renderer.js";

const VERTEX = `#version 300 es
layout(location = 0) in vec2 place;
layout(location = 1) in uint hue;
uniform vec4 transform;
uniform float diameter;
uniform float opacity;
uniform int row;
uniform sampler2D palette;
flat out vec4 color;
void main() {
  gl_Position = vec4(place * transform.xy + transform.zw, 0.0, 1.0);
  gl_PointSize = diameter + 1.0;
  color = vec4(texelFetch(palette, ivec2(int(hue), row), 0).rgb, opacity);
}`;

const FRAGMENT = `#version 300 es
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

const SOFTWARE = /swiftshader|llvmpipe|lavapipe|softpipe|software|basic render|swrast/i;

export function softwareRendered(gl: WebGL2RenderingContext): boolean {
  const info = gl.getExtension("WEBGL_debug_renderer_info");
  const name = gl.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : gl.RENDERER);
  return SOFTWARE.test(String(name));
}

export class WebglRenderer implements Renderer {
  readonly name = "webgl";
  private readonly program: WebGLProgram;
  private readonly places: WebGLBuffer;
  private readonly hues: WebGLBuffer;
  private readonly indices: WebGLBuffer;
  private readonly uniform: (name: string) => WebGLUniformLocation | null;
  private readonly ended = new AbortController();
  /** What the GPU holds already. */
  private held: {
    points: Points | null;
    loaded: number;
    colors: number;
    classes: number;
    palette: Uint32Array | null;
  } = {
    points: null,
    loaded: 0,
    colors: -1,
    classes: -1,
    palette: null,
  };

  constructor(
    readonly canvas: HTMLCanvasElement,
    private readonly gl: WebGL2RenderingContext,
    lost: () => void,
  ) {
    this.program = link(gl);
    const locations = new Map<string, WebGLUniformLocation | null>();
    for (const name of ["transform", "diameter", "opacity", "row", "palette"])
      locations.set(name, gl.getUniformLocation(this.program, name));
    this.uniform = (name) => locations.get(name) ?? null;
    this.places = gl.createBuffer() as WebGLBuffer;
    this.hues = gl.createBuffer() as WebGLBuffer;
    this.indices = gl.createBuffer() as WebGLBuffer;
    gl.bindVertexArray(gl.createVertexArray());
    gl.bindBuffer(gl.ARRAY_BUFFER, this.places);
    gl.enableVertexAttribArray(0);
    gl.vertexAttribPointer(0, 2, gl.UNSIGNED_SHORT, true, 0, 0);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.hues);
    gl.enableVertexAttribArray(1);
    gl.vertexAttribIPointer(1, 1, gl.UNSIGNED_BYTE, 0, 0);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.indices);
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.useProgram(this.program);
    canvas.addEventListener("webglcontextlost", lost, { signal: this.ended.signal });
  }

  draw(points: Points, frame: Frame): boolean {
    const { gl, canvas } = this;
    const width = Math.max(1, Math.round(frame.size.width * frame.ratio));
    const height = Math.max(1, Math.round(frame.size.height * frame.ratio));
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    this.upload(points, frame);
    gl.viewport(0, 0, width, height);
    const { background } = frame.palette;
    gl.clearColor((background & 255) / 255, ((background >> 8) & 255) / 255, ((background >> 16) & 255) / 255, 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
    const { ax, bx, ay, by } = frame.transform;
    const perX = 2 / frame.size.width;
    const perY = -2 / frame.size.height;
    gl.uniform4f(this.uniform("transform"), ax * 65535 * perX, ay * 65535 * perY, bx * perX - 1, by * perY + 1);
    for (let row = 0; row <= 2; row++) {
      const first = row === 0 ? 0 : (points.ends[row - 1] as number);
      const count = thinned((points.ends[row] as number) - first, frame.share);
      if (count === 0) continue;
      gl.uniform1i(this.uniform("row"), row);
      gl.uniform1f(this.uniform("diameter"), 2 * (frame.radius[row] as number) * frame.ratio);
      gl.uniform1f(this.uniform("opacity"), frame.opacity[row] as number);
      if (points.uniform === null) gl.drawElements(gl.POINTS, count, gl.UNSIGNED_INT, 4 * first);
      else gl.drawArrays(gl.POINTS, first, count);
    }
    return true;
  }

  timed(): number {
    const { points } = this.held;
    if (!points) return 0;
    const { gl } = this;
    const pixel = new Uint8Array(4);
    // Reading a pixel waits for all that was ordered before it.
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
    const started = performance.now();
    gl.drawArrays(gl.POINTS, 0, points.loaded);
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
    return performance.now() - started;
  }

  private upload(points: Points, frame: Frame): void {
    const { gl, held } = this;
    if (held.points !== points) {
      gl.bindBuffer(gl.ARRAY_BUFFER, this.places);
      gl.bufferData(gl.ARRAY_BUFFER, points.xy.byteLength, gl.STATIC_DRAW);
      this.held = { points, loaded: 0, colors: -1, classes: -1, palette: held.palette };
    }
    const now = this.held;
    if (now.loaded < points.loaded) {
      gl.bindBuffer(gl.ARRAY_BUFFER, this.places);
      gl.bufferSubData(gl.ARRAY_BUFFER, 4 * now.loaded, points.xy, 2 * now.loaded, 2 * (points.loaded - now.loaded));
      now.loaded = points.loaded;
    }
    if (now.colors !== points.colorVersion) {
      gl.bindBuffer(gl.ARRAY_BUFFER, this.hues);
      gl.bufferData(gl.ARRAY_BUFFER, points.colors, gl.STATIC_DRAW);
      now.colors = points.colorVersion;
    }
    if (now.classes !== points.classVersion && points.uniform === null) {
      gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, points.order.subarray(0, points.loaded), gl.DYNAMIC_DRAW);
      now.classes = points.classVersion;
    }
    if (now.palette !== frame.palette.table) {
      now.palette = frame.palette.table;
      gl.texImage2D(
        gl.TEXTURE_2D,
        0,
        gl.RGBA,
        256,
        3,
        0,
        gl.RGBA,
        gl.UNSIGNED_BYTE,
        new Uint8Array(now.palette.buffer),
      );
    }
  }

  dispose(): void {
    this.ended.abort();
    // A page may hold sixteen contexts; waiting for the garbage collector would take one from another panel.
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
    this.canvas.remove();
  }
}

function link(gl: WebGL2RenderingContext): WebGLProgram {
  const program = gl.createProgram();
  for (const [type, source] of [
    [gl.VERTEX_SHADER, VERTEX],
    [gl.FRAGMENT_SHADER, FRAGMENT],
  ] as const) {
    const shader = gl.createShader(type);
    if (!shader) throw new Error("the browser made no shader");
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS))
    throw new Error(gl.getProgramInfoLog(program) ?? "the shaders do not link");
  return program;
}
