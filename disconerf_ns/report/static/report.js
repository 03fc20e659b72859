"use strict";
// The slider over the scene, the panes of the cards, the theme, and a viewer of meshes that all cards share.
const page = document.documentElement;
page.classList.add("js");

for (const input of document.querySelectorAll(".layers input")) {
  const move = () => input.parentElement.style.setProperty("--at", `${input.value}%`);
  input.addEventListener("input", move);
  move();
}

const theme = document.getElementById("theme");
theme.addEventListener("click", () => {
  const dark = page.dataset.theme ? page.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  page.dataset.theme = dark ? "light" : "dark";
  for (const view of views.values()) view.draw();
});

// ---------------------------------------------------------------- panes

const views = new Map();
for (const card of document.querySelectorAll(".card")) {
  const show = (name) => {
    for (const pane of card.querySelectorAll(".pane")) pane.classList.toggle("on", pane.classList.contains(name));
    for (const tab of card.querySelectorAll(".tabs button")) tab.setAttribute("aria-pressed", tab.dataset.pane === name);
    const canvas = card.querySelector(".pane.on canvas");
    if (canvas) {
      if (!views.has(canvas)) views.set(canvas, new MeshView(canvas));
      views.get(canvas).draw();
    }
  };
  for (const tab of card.querySelectorAll(".tabs button")) tab.addEventListener("click", () => show(tab.dataset.pane));
}
addEventListener("resize", () => { for (const view of views.values()) view.draw(); });

// ---------------------------------------------------------------- meshes

const VERTEX = `#version 300 es
in vec3 place; in vec3 normal; in vec3 color;
uniform mat3 turn; uniform float distance, lens, aspect;
out vec3 shade;
void main() {
  vec3 p = turn * (place - 0.5);
  vec3 n = turn * normal;
  float light = 0.82 + 0.18 * dot(normalize(n), normalize(vec3(-0.3, 0.6, 0.75)));
  shade = color * light;
  float depth = distance - p.z;  // between distance - 2 and distance + 2
  gl_Position = vec4(lens * p.x / aspect, lens * p.y, 0.5 * (depth * distance - distance * distance + 4.0), depth);
}`;
const FRAGMENT = `#version 300 es
precision mediump float;
in vec3 shade;
out vec4 color;
void main() { color = vec4(shade, 1.0); }`;

// Browsers allow a page a few WebGL contexts only, so one draws for all cards, and each card's canvas gets a copy.
class Painter {
  constructor() {
    this.canvas = document.createElement("canvas");
    const gl = this.gl = this.canvas.getContext("webgl2", { antialias: true, alpha: true, preserveDrawingBuffer: true });
    if (!gl) return;
    const program = this.program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    gl.useProgram(program);
    gl.enable(gl.DEPTH_TEST);
  }

  upload(mesh) {
    const gl = this.gl, array = gl.createVertexArray();
    gl.bindVertexArray(array);
    const fill = (name, data, type, scaled) => {
      const at = gl.getAttribLocation(this.program, name);
      gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
      gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
      gl.enableVertexAttribArray(at);
      gl.vertexAttribPointer(at, 3, type, scaled, 0, 0);
    };
    fill("place", mesh.places, gl.UNSIGNED_SHORT, true);
    fill("normal", mesh.normals, gl.FLOAT, false);
    fill("color", mesh.colors, gl.UNSIGNED_BYTE, true);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, mesh.corners, gl.STATIC_DRAW);
    return array;
  }

  paint(array, mesh, turn, zoom, width, height) {
    const gl = this.gl;
    this.canvas.width = width;
    this.canvas.height = height;
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.bindVertexArray(array);
    const uniform = (name) => gl.getUniformLocation(this.program, name);
    gl.uniformMatrix3fv(uniform("turn"), false, turn);
    gl.uniform1f(uniform("distance"), 4);
    gl.uniform1f(uniform("lens"), 3.6 * zoom / mesh.radius);
    gl.uniform1f(uniform("aspect"), width / height);
    const type = mesh.corners instanceof Uint32Array ? gl.UNSIGNED_INT : gl.UNSIGNED_SHORT;
    gl.drawElements(gl.TRIANGLES, mesh.corners.length, type, 0);
  }
}
let painter = null;

function unpack(text) {
  const bytes = Uint8Array.from(atob(text.trim()), (letter) => letter.charCodeAt(0)).buffer;
  const [vertices, triangles] = new Uint32Array(bytes, 0, 2);
  let at = 12;
  const take = (Kind, count) => {
    const part = new Kind(bytes, at, count);
    at += Math.ceil(part.byteLength / 4) * 4;
    return part;
  };
  const places = take(Uint16Array, 3 * vertices);
  const corners = take(vertices > 65535 ? Uint32Array : Uint16Array, 3 * triangles);
  const colors = take(Uint8Array, 3 * vertices);
  let radius = 0;
  for (let i = 0; i < places.length; i += 3) {
    radius = Math.max(radius, Math.hypot(...[0, 1, 2].map((k) => places[i + k] / 65535 - 0.5)));
  }
  return { places, corners, colors, radius, normals: normalsOf(places, corners) };
}

function normalsOf(places, corners) {
  const normals = new Float32Array(places.length);
  for (let t = 0; t < corners.length; t += 3) {
    const [a, b, c] = [3 * corners[t], 3 * corners[t + 1], 3 * corners[t + 2]];
    const u = [0, 1, 2].map((k) => places[b + k] - places[a + k]), v = [0, 1, 2].map((k) => places[c + k] - places[a + k]);
    const n = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
    for (const corner of [a, b, c]) for (let k = 0; k < 3; k++) normals[corner + k] += n[k] / 65535;
  }
  return normals;
}

class MeshView {
  constructor(canvas) {
    this.canvas = canvas;
    painter ??= new Painter();
    if (!painter.gl) {
      canvas.replaceWith("This browser has no WebGL 2, which the mesh needs.");
      return;
    }
    this.mesh = unpack(document.getElementById(canvas.dataset.mesh).textContent);
    this.array = painter.upload(this.mesh);
    this.reset();
    this.listen();
  }

  reset() {
    [this.yaw, this.pitch, this.zoom] = [0.6, 0.45, 1];
  }

  listen() {
    const held = new Map();
    const canvas = this.canvas;
    const change = (yaw, pitch, zoom) => {
      this.yaw += yaw;
      this.pitch = Math.min(Math.max(this.pitch + pitch, -1.5), 1.5);
      this.zoom = Math.min(Math.max(this.zoom * zoom, 0.4), 8);
      this.draw();
    };
    const spread = () => {
      const [a, b] = [...held.values()];
      return Math.hypot(a.x - b.x, a.y - b.y);
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      held.set(event.pointerId, { x: event.clientX, y: event.clientY });
    });
    canvas.addEventListener("pointermove", (event) => {
      const before = held.get(event.pointerId);
      if (!before) return;
      const wide = held.size === 2 ? spread() : 0;
      held.set(event.pointerId, { x: event.clientX, y: event.clientY });
      if (held.size === 2) change(0, 0, spread() / Math.max(wide, 1));
      else change((event.clientX - before.x) / 90, (event.clientY - before.y) / 90, 1);
    });
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => held.delete(event.pointerId));
    canvas.addEventListener("wheel", (event) => {
      if (document.activeElement !== canvas) return;  // so that the page still scrolls
      event.preventDefault();
      change(0, 0, Math.exp(-event.deltaY / 500));
    }, { passive: false });
    canvas.addEventListener("dblclick", () => { this.reset(); this.draw(); });
    const keys = {
      ArrowLeft: [-0.15, 0, 1], ArrowRight: [0.15, 0, 1], ArrowUp: [0, 0.15, 1], ArrowDown: [0, -0.15, 1],
      "+": [0, 0, 1.15], "=": [0, 0, 1.15], "-": [0, 0, 1 / 1.15],
    };
    canvas.addEventListener("keydown", (event) => {
      if (event.key === "0") { this.reset(); this.draw(); }
      if (!keys[event.key]) return;
      event.preventDefault();
      change(...keys[event.key]);
    });
  }

  draw() {
    if (!this.mesh || !this.canvas.clientWidth) return;
    const [cy, sy, cp, sp] = [Math.cos(this.yaw), Math.sin(this.yaw), Math.cos(this.pitch), Math.sin(this.pitch)];
    // columns: where x, y and z (up) of the mesh go in the picture, whose axes are right, up and towards the reader
    const turn = [cy, sy * sp, -sy * cp, -sy, cy * sp, -cy * cp, 0, cp, sp];
    const dense = Math.min(devicePixelRatio, 2);
    const width = this.canvas.width = Math.round(this.canvas.clientWidth * dense);
    const height = this.canvas.height = Math.round(this.canvas.clientHeight * dense);
    painter.paint(this.array, this.mesh, turn, this.zoom, width, height);
    this.canvas.getContext("2d").drawImage(painter.canvas, 0, 0);
  }
}
