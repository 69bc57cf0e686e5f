// Angles over time: a panel for each, left and right in it. The curves are drawn once, only the line at "now" moves.

const MARGIN = { left: 38, right: 12, top: 8, bottom: 22 };
const LEAST = 20; // degrees from the bottom of a panel to its top, or a still joint would seem to move

class Curves {
  constructor(box, data, seek) {
    this.box = box;
    this.data = data;
    this.seek = seek;
    this.panels = [];
    new ResizeObserver(() => this.drawAll()).observe(box);
  }

  show(person) {
    this.person = person;
    this.box.replaceChildren();
    this.panels = [];
    const byStem = new Map();
    for (const [name, values] of Object.entries(person ? person.angles : {})) {
      const side = /^(left|right)_/.exec(name)?.[1] ?? "middle";
      const stem = name.replace(/^(left|right)_/, "");
      byStem.set(stem, [...(byStem.get(stem) ?? []), { side, values }]);
    }
    for (const [stem, lines] of byStem) this.panels.push(this.panel(stem.replaceAll("_", " "), lines));
    this.drawAll();
  }

  panel(title, lines) {
    const element = document.createElement("div");
    element.className = "curve";
    const heading = document.createElement("h3");
    heading.textContent = title;
    for (const line of lines) {
      line.output = document.createElement("span");
      line.output.style.color = `var(--${line.side})`;
      line.output.title = line.side;
      heading.append(line.output);
    }
    const canvas = document.createElement("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${title} over time, in degrees`);
    const now = document.createElement("div");
    now.className = "now";
    element.append(heading, canvas, now);
    this.box.append(element);
    const drag = (event) => {
      if (event.buttons & 1) this.seek(this.timeAt(canvas, event.offsetX));
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      drag(event);
    });
    canvas.addEventListener("pointermove", drag);
    return { canvas, now, lines };
  }

  // Seconds at the left and the right border.
  span() {
    const { times } = this.data;
    const [first, last] = [times[0], times[times.length - 1]];
    return [first, Math.max(last, first + 0.1)];
  }

  timeAt(canvas, x) {
    const [first, last] = this.span();
    const share = (x - MARGIN.left) / (canvas.clientWidth - MARGIN.left - MARGIN.right);
    return first + Math.min(1, Math.max(0, share)) * (last - first);
  }

  xOf(canvas, time) {
    const [first, last] = this.span();
    return MARGIN.left + ((time - first) / (last - first)) * (canvas.clientWidth - MARGIN.left - MARGIN.right);
  }

  drawAll() {
    for (const panel of this.panels) this.drawPanel(panel);
    if (this.frame !== undefined) this.draw(this.frame);
  }

  drawPanel({ canvas, lines }) {
    const context = wiped(canvas);
    const { clientWidth: width, clientHeight: height } = canvas;
    const { times, colours } = this.data;
    const known = lines.flatMap(({ values }) => [...values].filter((value) => !Number.isNaN(value)));
    const [low, high] = known.length ? limits(known) : [0, LEAST];
    const yOf = (value) => height - MARGIN.bottom - ((value - low) / (high - low)) * (height - MARGIN.top - MARGIN.bottom);
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    context.fillStyle = css(colours.quiet);
    context.textAlign = "right";
    for (const value of ticks(low, high, 3)) {
      stroke(context, MARGIN.left, yOf(value), width - MARGIN.right, yOf(value), css(colours.floor, value ? 0.5 : 1), 1);
      context.fillText(String(value).replace("-", "−"), MARGIN.left - 7, yOf(value));
    }
    context.textAlign = "center";
    for (const value of ticks(...this.span(), 5)) context.fillText(`${value} s`, this.xOf(canvas, value), height - 9);
    for (const { side, values } of lines) {
      context.beginPath();
      let drawing = false;
      for (let row = 0; row < values.length; row++) {
        const [x, y] = [this.xOf(canvas, times[this.person.first + row]), yOf(values[row])];
        if (Number.isNaN(y)) drawing = false;
        else if (drawing) context.lineTo(x, y);
        else {
          context.moveTo(x, y);
          context.lineTo(x, y); // a lone value is a dot
          drawing = true;
        }
      }
      context.strokeStyle = css(colours[side]);
      context.lineWidth = 1.6;
      context.stroke();
    }
  }

  draw(frame) {
    this.frame = frame;
    for (const { canvas, now, lines } of this.panels) {
      now.style.transform = `translateX(${this.xOf(canvas, this.data.times[frame])}px)`;
      const row = rowOf(this.person, frame);
      for (const { output, values } of lines) {
        const value = row < 0 ? NaN : values[row];
        output.textContent = Number.isNaN(value) ? "–" : `${Math.round(value)}°`.replace("-", "−");
      }
    }
  }
}

function limits(values) {
  const [low, high] = extent(values);
  const margin = Math.max(0, LEAST - (high - low)) / 2 + 0.04 * (high - low);
  return [low - margin, high + margin];
}

// About so many round numbers between two.
function ticks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 3, 5, 10].find((factor) => factor * power >= rough);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) found.push(Number((i * step).toFixed(6)));
  return found;
}
