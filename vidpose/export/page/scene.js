// People in space: x right, y away from the camera, z up, metres. A small painter's renderer: near bones last.

const FIELD_OF_VIEW = (34 * Math.PI) / 180;
const START = { azimuth: (24 * Math.PI) / 180, elevation: (14 * Math.PI) / 180, zoom: 1 };
const FADE = 0.45; // of its colour that the farthest limb loses
const NEAREST = 0.1;

// A function from the scene's axes to the eye's: rightwards, upwards, away.
function axes({ azimuth, elevation }) {
  const [ca, sa] = [Math.cos(azimuth), Math.sin(azimuth)];
  const [ce, se] = [Math.cos(elevation), Math.sin(elevation)];
  return (x, y, z) => {
    const ahead = y * ca - x * sa;
    return [x * ca + y * sa, se * ahead + ce * z, ce * ahead - se * z];
  };
}

class Scene {
  constructor(canvas, data, changed) {
    this.canvas = canvas;
    this.data = data;
    this.changed = changed;
    this.bodies = null; // whoever shows people as more than bones
    this.points = this.samples();
    this.centre();
    this.look(START);
    this.listen();
  }

  look({ azimuth = this.azimuth, elevation = this.elevation, zoom = this.zoom }) {
    this.azimuth = azimuth;
    this.elevation = Math.min(Math.PI / 2, Math.max(-Math.PI / 2, elevation));
    this.zoom = Math.min(12, Math.max(0.25, zoom));
    this.changed();
  }

  turn(azimuth, elevation) {
    this.look({ azimuth: this.azimuth + azimuth, elevation: this.elevation + elevation });
  }

  listen() {
    const { canvas } = this;
    const held = new Map();
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      held.set(event.pointerId, event);
    });
    canvas.addEventListener("pointermove", (event) => {
      const before = held.get(event.pointerId);
      if (!before) return;
      const other = [...held.values()].find((one) => one.pointerId !== event.pointerId);
      const apart = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
      if (other) this.look({ zoom: (this.zoom * apart(event)) / Math.max(1, apart(before)) });
      else this.turn((before.clientX - event.clientX) / 150, (event.clientY - before.clientY) / 150);
      held.set(event.pointerId, event);
    });
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, (event) => held.delete(event.pointerId));
    }
    canvas.addEventListener("dblclick", () => this.look(START));
    const wheel = (event) => {
      event.preventDefault();
      this.look({ zoom: this.zoom * Math.exp(-event.deltaY / 500) });
    };
    canvas.addEventListener("wheel", wheel, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      // The browser's own: larger letters, and the page before.
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const act = {
        ArrowLeft: () => this.turn(0.1, 0),
        ArrowRight: () => this.turn(-0.1, 0),
        ArrowUp: () => this.turn(0, 0.1),
        ArrowDown: () => this.turn(0, -0.1),
        "+": () => this.look({ zoom: this.zoom * 1.15 }),
        "-": () => this.look({ zoom: this.zoom / 1.15 }),
      }[event.key];
      if (!act) return;
      act();
      event.preventDefault();
      event.stopPropagation();
    });
  }

  // Where joints are at a hundred moments, fewer of each of very many people, without outliers.
  samples() {
    const { bounds, people, layout3d } = this.data;
    const moments = Math.max(1, Math.min(100, Math.floor(2000 / people.length)));
    const [low, high] = bounds;
    const inside = (point) => point.every((value, i) => value >= low[i] && value <= high[i]);
    const found = [];
    for (const person of people) {
      const width = 3 * layout3d.colours.length;
      for (let row = 0; row < person.rows; row += Math.ceil(person.rows / moments)) {
        for (let at = row * width; at < (row + 1) * width; at += 3) {
          const point = [...person.joints.subarray(at, at + 3)];
          if (inside(point)) found.push(point);
        }
      }
    }
    return found.length ? found : bounds;
  }

  // Looks at the middle of them, as the scene is first seen, and from as far as shows them all.
  centre() {
    const toEye = axes(START);
    const seen = this.points.map((point) => toEye(...point));
    const [right, up, away] = [0, 1, 2].map((i) => {
      const [low, high] = extent(seen.map((point) => point[i]));
      return (low + high) / 2;
    });
    const [ca, sa] = [Math.cos(START.azimuth), Math.sin(START.azimuth)];
    const [ce, se] = [Math.cos(START.elevation), Math.sin(START.elevation)];
    const ahead = se * up + ce * away;
    this.target = [right * ca - ahead * sa, right * sa + ahead * ca, ce * up - se * away];
    this.sized = null;
    this.seen = seen.map((point) => [point[0] - right, point[1] - up, point[2] - away]);
    this.reach = extent(this.seen.map((point) => Math.hypot(...point)))[1];
  }

  // Metres from which all of them are seen. Found once for each size of the canvas: of many people, they are many.
  distance(width, height, focal) {
    if (this.sized?.width === width && this.sized.height === height) return this.sized.distance;
    let distance = NEAREST;
    for (const [right, up, away] of this.seen) {
      const needed = Math.max(Math.abs(right) / (0.44 * width), Math.abs(up) / (0.38 * height));
      distance = Math.max(distance, focal * needed - away);
    }
    this.sized = { width, height, distance };
    return distance;
  }

  // A function from (x, y, z) to pixels, depth in metres from the target, and distance from the eye relative to its.
  projection(width, height) {
    const focal = Math.min(width, height) / 2 / Math.tan(FIELD_OF_VIEW / 2);
    const distance = this.distance(width, height, focal) / this.zoom;
    const toEye = axes(this);
    const [tx, ty, tz] = this.target;
    this.scale = focal / distance;
    return (x, y, z) => {
      const [right, up, depth] = toEye(x - tx, y - ty, z - tz);
      const size = focal / Math.max(NEAREST, distance + depth);
      return { x: width / 2 + size * right, y: height / 2 - size * up, depth, near: (distance + depth) / distance };
    };
  }

  draw(frame) {
    const context = wiped(this.canvas);
    const project = this.projection(this.canvas.clientWidth, this.canvas.clientHeight);
    for (const floor of this.data.floors) this.drawFloor(context, project, floor);
    const { outline, shadow } = this.data.colours;
    const parts = [];
    const embodied = [];
    for (const person of this.data.people) {
      const row = rowOf(person, frame);
      if (!person.shown || row < 0) continue;
      const points = this.joints(project, person, row);
      const found = points.filter(Boolean);
      if (!found.length || found.some((point) => point.near < NEAREST)) continue;
      if (this.bodies?.has(person, row)) embodied.push([person, row]);
      else parts.push(...this.limbs(context, points, person, row));
      const top = headOf(points, this.data.layout3d);
      parts.push({ depth: -Infinity, paint: () => chip(context, top.x, top.y - 20, person, outline) });
    }
    if (embodied.length) {
      parts.push(this.bodies.part(context, project, axes(this), embodied, this.data.floors[0].z, css(shadow)));
    }
    parts.sort((a, b) => b.depth - a.depth).forEach((part) => part.paint());
  }

  // Lines that fade towards the border.
  drawFloor(context, project, { x, y, z, reach, spacing }) {
    const { floor, background } = this.data.colours;
    const count = Math.round(reach / spacing);
    const parts = 12;
    for (let line = -count; line <= count; line++) {
      for (let part = 0; part < parts; part++) {
        const along = (share) => reach * (2 * share - 1);
        const [from, to] = [along(part / parts), along((part + 1) / parts)];
        const away = Math.hypot(line * spacing, (from + to) / 2) / (1.15 * reach);
        const style = css(mix(floor, background, Math.min(1, away ** 3)));
        const ends = [project(x + line * spacing, y + from, z), project(x + line * spacing, y + to, z)];
        const across = [project(x + from, y + line * spacing, z), project(x + to, y + line * spacing, z)];
        for (const [a, b] of [ends, across]) {
          if (a.near > NEAREST && b.near > NEAREST) stroke(context, a.x, a.y, b.x, b.y, style, 1);
        }
      }
    }
  }

  // Where one person's joints appear, and what they are above; null where a joint is not known.
  joints(project, person, row) {
    const count = this.data.layout3d.colours.length;
    const points = [];
    for (let i = 0; i < count; i++) {
      const at = 3 * (row * count + i);
      const [x, y, z] = person.joints.subarray(at, at + 3);
      const there = !Number.isNaN(x + y + z);
      points.push(there ? { ...project(x, y, z), shadow: project(x, y, this.data.floors[0].z) } : null);
    }
    return points;
  }

  // What there is to paint of one person's bones; their shadow is painted at once.
  limbs(context, points, person, row) {
    const { layout3d, colours } = this.data;
    const count = points.length;
    const width = Math.max(2, 0.036 * this.scale);
    const parts = [];
    for (const [start, end, colour, weight] of layout3d.bones) {
      const [a, b] = [points[start], points[end]];
      if (!a || !b) continue;
      const known = (joint) => person.known[row * count + joint];
      const shade = known(start) && known(end) ? colour : colours.guess;
      stroke(context, a.shadow.x, a.shadow.y, b.shadow.x, b.shadow.y, css(colours.shadow), weight * width);
      const depth = (a.depth + b.depth) / 2;
      const far = Math.min(1, Math.max(0, depth / this.reach + 0.2));
      const thick = (1.15 * weight * width * 2) / (a.near + b.near);
      parts.push({
        depth,
        paint: () => {
          stroke(context, a.x, a.y, b.x, b.y, css(colours.outline), thick + Math.max(2, 0.4 * width));
          stroke(context, a.x, a.y, b.x, b.y, css(mix(shade, colours.background, FADE * far)), thick);
          for (const [joint, point] of weight === 1 ? [[start, a], [end, b]] : []) {
            const own = known(joint) ? layout3d.colours[joint] : colours.guess;
            const light = mix(mix(own, [255, 255, 255], 0.5), colours.background, FADE * far);
            dot(context, point.x, point.y, css(light), 0.45 * thick);
          }
        },
      });
    }
    return parts;
  }
}
