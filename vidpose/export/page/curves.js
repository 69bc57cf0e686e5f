// Angles over time: a panel for each, left and right in it. The curves are drawn once, and of a long video again for
// each stretch that it comes to; in between, only the line at "now" moves.

const MARGIN = { left: 38, right: 12, top: 8, bottom: 22 };
const LEAST = 20; // degrees from the bottom of a panel to its top, or a still joint would seem to move
const STRETCHES = [600, 60, 10]; // seconds that panels can show at a time, besides all there are
const READABLE = 300; // seconds, of which panels show all unless asked: of more, curves become a block of colour

class Curves {
  constructor(box, data, seek) {
    this.box = box;
    this.data = data;
    this.seek = seek;
    this.panels = [];
    this.frame = 0;
    this.held = null; // the stretch that is shown as long as somebody drags, which may lead out of it
    this.stretch = lengthOf(data.times) > READABLE ? 60 : Infinity;
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
      this.held = this.span();
      drag(event);
    });
    canvas.addEventListener("pointermove", drag);
    canvas.addEventListener("lostpointercapture", () => {
      this.held = null;
      this.draw(this.frame);
    });
    const known = lines.flatMap(({ values }) => [...values].filter((value) => !Number.isNaN(value)));
    return { canvas, now, lines, limits: known.length ? limits(known) : [0, LEAST] };
  }

  // Shows so many seconds at a time; Infinity: all.
  reach(stretch) {
    this.stretch = stretch;
    this.drawAll();
  }

  // Seconds at the left and the right border: all there are, or the stretch of them that holds "now", or what is nearest
  // to it of this person.
  span() {
    if (this.held) return this.held;
    const { times } = this.data;
    const first = times[0];
    const last = Math.max(times[times.length - 1], first + 0.1);
    if (!this.person || last - first <= this.stretch) return [first, last];
    const { first: from, rows } = this.person;
    const time = times[Math.min(from + rows - 1, Math.max(from, this.frame))];
    const start = first + this.stretch * Math.floor((time - first + INSIDE) / this.stretch);
    return [start, start + this.stretch].map((border) => border - Math.max(0, start + this.stretch - last));
  }

  timeAt(canvas, x) {
    const [first, last] = this.span();
    const share = (x - MARGIN.left) / (canvas.clientWidth - MARGIN.left - MARGIN.right);
    return first + Math.min(1, Math.max(0, share)) * (last - first);
  }

  // A function from seconds to where they are in a panel of some width.
  across(width) {
    const [first, last] = this.span();
    return (time) => MARGIN.left + ((time - first) / (last - first)) * (width - MARGIN.left - MARGIN.right);
  }

  drawAll() {
    this.drawn = this.span();
    for (const panel of this.panels) this.drawPanel(panel);
    this.tell();
  }

  drawPanel({ canvas, lines, limits: [low, high] }) {
    const context = wiped(canvas);
    const { clientWidth: width, clientHeight: height } = canvas;
    const { times, colours } = this.data;
    const [start, end] = this.span();
    const xOf = this.across(width);
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
    const unit = end - start > READABLE ? 60 : 1;
    for (const value of ticks(start / unit, end / unit, 5)) {
      const words = moment(unit * value, times);
      const rightmost = width - context.measureText(words).width / 2 - 3;
      context.fillText(words, Math.min(rightmost, xOf(unit * value)), height - 9);
    }
    const [from, to] = [start, end].map((time) => frameAt(times, time + INSIDE) - this.person.first);
    for (const { side, values } of lines) {
      context.beginPath();
      let drawing = false;
      for (let row = Math.max(0, from); row <= Math.min(to, values.length - 1); row++) {
        const [x, y] = [xOf(times[this.person.first + row]), yOf(values[row])];
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
    const [start, end] = this.span();
    if (start !== this.drawn?.[0] || end !== this.drawn[1]) this.drawAll();
    else this.tell();
  }

  // Where "now" is, and what the angles are then.
  tell() {
    const [start, end] = this.span();
    const time = this.data.times[this.frame];
    const row = this.person ? rowOf(this.person, this.frame) : -1;
    const width = this.panels[0]?.canvas.clientWidth;
    for (const { now, lines } of this.panels) {
      now.hidden = !this.held && (time < start - INSIDE || time > end + INSIDE);
      now.style.transform = `translateX(${this.across(width)(time)}px)`;
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
