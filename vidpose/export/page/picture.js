// 2D skeletons over the video, as the overlay video has them.

const HIDDEN_BELOW = 0.2 * 255;
const FAINT_BELOW = 0.5 * 255;

// Fits a canvas to the pixels of the screen; gives its context in CSS pixels, wiped.
function wiped(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.lineCap = "round";
  context.lineJoin = "round";
  return context;
}

function stroke(context, x0, y0, x1, y1, style, width) {
  context.strokeStyle = style;
  context.lineWidth = width;
  context.beginPath();
  context.moveTo(x0, y0);
  context.lineTo(x1, y1);
  context.stroke();
}

function dot(context, x, y, style, radius) {
  context.fillStyle = style;
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}

// A person's number, dark on a pill of their colour.
function chip(context, x, y, person, dark) {
  const words = String(person.id);
  context.font = "600 12px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  const half = Math.max(0, context.measureText(words).width / 2 - 3);
  stroke(context, x - half, y, x + half, y, css(person.colour), 19);
  context.fillStyle = css(dark);
  context.fillText(words, x, y + 0.5);
}

// The highest point of the head; of the body, where no head is seen. Points that are null are not.
function headOf(points, layout) {
  const head = layout.head.map((joint) => points[joint]).filter(Boolean);
  return (head.length ? head : points.filter(Boolean)).reduce((a, b) => (b.y < a.y ? b : a));
}

class Picture {
  constructor(canvas, data) {
    this.canvas = canvas;
    this.data = data;
  }

  draw(frame) {
    const context = wiped(this.canvas);
    const { clientWidth, clientHeight } = this.canvas;
    const { width, height } = this.data;
    // The video is fitted into the same box.
    const scale = Math.min(clientWidth / width, clientHeight / height);
    context.translate((clientWidth - scale * width) / 2, (clientHeight - scale * height) / 2);
    for (const person of this.data.people) {
      const row = rowOf(person, frame);
      if (person.shown && row >= 0) this.drawPerson(context, person, row, scale);
    }
  }

  drawPerson(context, person, row, scale) {
    const { layout2d, colours } = this.data;
    const count = layout2d.colours.length;
    const points = [];
    const heights = [];
    for (let i = 0; i < count; i++) {
      const at = row * count + i;
      const score = person.scores[at];
      const x = person.keypoints[2 * at] * scale;
      const y = person.keypoints[2 * at + 1] * scale;
      const visible = score >= HIDDEN_BELOW && !Number.isNaN(x + y);
      points.push({ x, y, visible, solid: visible && score >= FAINT_BELOW });
      if (visible) heights.push(y);
    }
    if (!heights.length) return;
    const extent = Math.max(...heights) - Math.min(...heights);
    const width = Math.min(4.5, Math.max(1.5, 0.011 * extent));
    const drawn = layout2d.bones
      .map(([start, end, colour, weight]) => ({ a: points[start], b: points[end], colour, weight }))
      .filter(({ a, b }) => a.visible && b.visible)
      .map((bone) => ({ ...bone, solid: bone.a.solid && bone.b.solid }));
    for (const { a, b, weight, solid } of drawn) {
      if (solid && weight > 0.5) stroke(context, a.x, a.y, b.x, b.y, css(colours.outline), weight * width * 1.5 + 1);
    }
    for (const { a, b, colour, weight, solid } of drawn) {
      stroke(context, a.x, a.y, b.x, b.y, css(colour, solid ? 1 : 0.55), weight * width * (solid ? 1 : 0.5));
    }
    for (const joint of layout2d.dots) {
      const { x, y, solid } = points[joint];
      if (!solid) continue;
      dot(context, x, y, css(colours.outline), 0.9 * width + 1);
      dot(context, x, y, css(mix(layout2d.colours[joint], [255, 255, 255], 0.6)), 0.75 * width);
    }
    const top = headOf(points.map((point) => (point.visible ? point : null)), layout2d);
    chip(context, top.x, Math.max(12, top.y - 0.06 * extent - 16), person, colours.outline);
  }
}
