// People as skinned bodies: bones carry the mesh, light comes from beside the eye, and the nearest is seen at each pixel.

const LIGHT = [0.35, 0.6, -0.72]; // where it comes from: rightwards, upwards, away
const AMBIENT = 0.35; // of the light, that comes from everywhere
const FINE = 2; // pixels drawn for one of the page, at least: that makes edges smooth

class Bodies {
  constructor({ parents, faces, weights }) {
    this.parents = parents;
    this.faces = faces;
    this.weights = weights;
    this.shown = true;
    const length = Math.hypot(...LIGHT);
    this.light = LIGHT.map((value) => value / length);
    this.canvas = document.createElement("canvas");
  }

  has(person, row) {
    return this.shown && person.body && !Number.isNaN(person.body.turns[4 * row * this.parents.length]);
  }

  // What moves each part from rest: a row of three by four numbers.
  moves({ heads, turns, roots }, row) {
    const count = this.parents.length;
    const moves = new Float32Array(12 * count);
    for (let part = 0; part < count; part++) {
      const [w, x, y, z] = turns.subarray(4 * (row * count + part));
      const rotation = [
        1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w),
        2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
        2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y),
      ];
      const [hx, hy, hz] = heads.subarray(3 * part);
      const above = 12 * Math.max(0, this.parents[part]);
      for (let axis = 0; axis < 3; axis++) {
        const own = 12 * part + 4 * axis;
        const [rx, ry, rz] = rotation.slice(3 * axis);
        const [ax, ay, az, shift] = moves.subarray(above + 4 * axis);
        const head = part ? ax * hx + ay * hy + az * hz + shift : roots[3 * row + axis];
        moves.set([rx, ry, rz, head - rx * hx - ry * hy - rz * hz], own);
      }
    }
    return moves;
  }

  // Where the vertices are, three numbers each, in the scene's axes.
  vertices(body, row) {
    const { rest } = body;
    const count = this.parents.length;
    const moves = this.moves(body, row);
    const found = new Float32Array(rest.length);
    for (let at = 0, weight = 0; at < rest.length; at += 3) {
      for (let part = 0; part < count; part++, weight++) {
        const share = this.weights[weight];
        if (!share) continue;
        for (let axis = 0; axis < 3; axis++) {
          const move = 12 * part + 4 * axis;
          const turned = moves[move] * rest[at] + moves[move + 1] * rest[at + 1] + moves[move + 2] * rest[at + 2];
          found[at + axis] += share * (turned + moves[move + 3]);
        }
      }
    }
    return found;
  }

  // Vectors out of the mesh at its vertices, of any length.
  normals(vertices) {
    const { faces } = this;
    const sums = new Float32Array(vertices.length);
    for (let i = 0; i < faces.length; i += 3) {
      const [a, b, c] = [3 * faces[i], 3 * faces[i + 1], 3 * faces[i + 2]];
      const [ux, uy, uz] = [0, 1, 2].map((axis) => vertices[b + axis] - vertices[a + axis]);
      const [vx, vy, vz] = [0, 1, 2].map((axis) => vertices[c + axis] - vertices[a + axis]);
      const across = [uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx];
      for (const corner of [a, b, c]) for (let axis = 0; axis < 3; axis++) sums[corner + axis] += across[axis];
    }
    return sums;
  }

  // People, each with their row, as one thing to paint; their shadows on a floor at this height are painted at once.
  part(context, project, toEye, present, floor, style) {
    const meshes = present.map(([person, row]) => this.mesh(project, toEye, person, this.vertices(person.body, row)));
    for (const { vertices } of meshes) this.shadow(context, project, vertices, floor, style);
    const depths = meshes.map(({ points }) => points.reduce((sum, { depth }) => sum + depth, 0) / points.length);
    return { depth: Math.max(...depths), paint: () => this.paint(context, meshes) };
  }

  mesh(project, toEye, person, vertices) {
    const normals = this.normals(vertices);
    const points = [];
    for (let at = 0; at < vertices.length; at += 3) {
      const normal = toEye(...normals.subarray(at, at + 3));
      const towards = normal.reduce((sum, value, axis) => sum + value * this.light[axis], 0);
      const light = AMBIENT + (1 - AMBIENT) * Math.max(0, towards / (Math.hypot(...normal) || 1));
      points.push({ ...project(...vertices.subarray(at, at + 3)), light });
    }
    return { person, vertices, points };
  }

  // Straight below: what looks up covers all of it, in one shape without seams.
  shadow(context, project, vertices, floor, style) {
    const { faces } = this;
    const below = [];
    for (let at = 0; at < vertices.length; at += 3) below.push(project(vertices[at], vertices[at + 1], floor));
    context.beginPath();
    for (let i = 0; i < faces.length; i += 3) {
      const [a, b, c] = [3 * faces[i], 3 * faces[i + 1], 3 * faces[i + 2]];
      const [ux, uy] = [vertices[b] - vertices[a], vertices[b + 1] - vertices[a + 1]];
      const [vx, vy] = [vertices[c] - vertices[a], vertices[c + 1] - vertices[a + 1]];
      const corners = [below[a / 3], below[b / 3], below[c / 3]];
      if (ux * vy - uy * vx <= 0 || corners.some(({ near }) => near < NEAREST)) continue;
      context.moveTo(corners[0].x, corners[0].y);
      context.lineTo(corners[1].x, corners[1].y);
      context.lineTo(corners[2].x, corners[2].y);
    }
    context.fillStyle = style;
    context.fill();
  }

  paint(context, meshes) {
    const { clientWidth, clientHeight } = context.canvas;
    const fine = Math.max(FINE, Math.ceil(window.devicePixelRatio || 1));
    const points = meshes.flatMap((mesh) => mesh.points);
    const [left, right] = extent(points.map(({ x }) => Math.min(clientWidth, Math.max(0, Math.floor(x)))));
    const [top, bottom] = extent(points.map(({ y }) => Math.min(clientHeight, Math.max(0, Math.floor(y)))));
    const [width, height] = [right + 1 - left, bottom + 1 - top];
    const picture = new ImageData(fine * width, fine * height);
    const nearest = new Float32Array(picture.width * picture.height);
    for (const mesh of meshes) {
      const corners = mesh.points.map(({ x, y, near, light }) => ({
        x: fine * (x - left), y: fine * (y - top), near: near < NEAREST ? 0 : 1 / near, light,
      }));
      this.fill(picture, nearest, corners, mesh.person.colour);
    }
    [this.canvas.width, this.canvas.height] = [picture.width, picture.height];
    this.canvas.getContext("2d").putImageData(picture, 0, 0);
    context.drawImage(this.canvas, left, top, width, height);
  }

  // Fills what of a mesh faces the eye and is nearer than what is there already.
  fill(picture, nearest, corners, [red, green, blue]) {
    const { faces } = this;
    const { width, height, data } = picture;
    for (let i = 0; i < faces.length; i += 3) {
      const [a, b, c] = [corners[faces[i]], corners[faces[i + 1]], corners[faces[i + 2]]];
      const area = (c.x - a.x) * (b.y - a.y) - (b.x - a.x) * (c.y - a.y);
      if (!(area > 0 && a.near && b.near && c.near)) continue;
      const firstX = Math.max(0, Math.ceil(Math.min(a.x, b.x, c.x) - 0.5));
      const lastX = Math.min(width - 1, Math.floor(Math.max(a.x, b.x, c.x) - 0.5));
      const firstY = Math.max(0, Math.ceil(Math.min(a.y, b.y, c.y) - 0.5));
      const lastY = Math.min(height - 1, Math.floor(Math.max(a.y, b.y, c.y) - 0.5));
      for (let y = firstY; y <= lastY; y++) {
        for (let x = firstX; x <= lastX; x++) {
          const [px, py] = [x + 0.5 - a.x, y + 0.5 - a.y];
          const second = ((c.x - a.x) * py - (c.y - a.y) * px) / area;
          const third = ((b.y - a.y) * px - (b.x - a.x) * py) / area;
          if (second < 0 || third < 0 || second + third > 1) continue;
          const near = a.near + second * (b.near - a.near) + third * (c.near - a.near);
          const at = y * width + x;
          if (near <= nearest[at]) continue;
          nearest[at] = near;
          const light = a.light + second * (b.light - a.light) + third * (c.light - a.light);
          data[4 * at] = red * light;
          data[4 * at + 1] = green * light;
          data[4 * at + 2] = blue * light;
          data[4 * at + 3] = 255;
        }
      }
    }
  }
}
