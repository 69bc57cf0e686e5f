// The result as Python packed it: base64 of little-endian numbers, one row after the other.

const ABSENT = -32768;

function bytesOf(base64) {
  const text = atob(base64.trim());
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

// As `bytesOf`, of what a long video's page has deflated: differences from row to row, their low bytes before the high.
async function inflated({ deflated, columns }, size) {
  const stream = new Blob([bytesOf(deflated)]).stream().pipeThrough(new DecompressionStream("deflate"));
  const halves = new Uint8Array(await new Response(stream).arrayBuffer());
  const count = halves.length / size;
  const values = size === 2 ? new Int16Array(count) : new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    const change = size === 2 ? halves[i] + 256 * halves[count + i] : halves[i];
    values[i] = i < columns ? change : change + values[i - columns]; // wraps around, as it was written
  }
  return values;
}

async function wholeOf(packed) {
  return packed.deflated ? inflated(packed, 1) : bytesOf(packed);
}

// Steps of 16 bits become numbers; what is absent becomes NaN.
async function numbersOf(packed) {
  const steps = packed.deflated ? await inflated(packed, 2) : new Int16Array(bytesOf(packed.data).buffer);
  const values = new Float32Array(steps.length);
  for (let i = 0; i < steps.length; i++) values[i] = steps[i] === ABSENT ? NaN : steps[i] * packed.step;
  return values;
}

// Rows of whole numbers become shares of one.
function sharesOf(whole, count) {
  const shares = Float32Array.from(whole);
  for (let start = 0; start < shares.length; start += count) {
    const row = shares.subarray(start, start + count);
    const sum = row.reduce((a, b) => a + b);
    row.forEach((value, i) => (row[i] = value / sum));
  }
  return shares;
}

async function readData(json) {
  const data = JSON.parse(json);
  data.times = new Float64Array(bytesOf(data.times).buffer);
  for (const person of data.people) {
    person.keypoints = await numbersOf(person.keypoints);
    person.scores = await wholeOf(person.scores);
    person.joints = await numbersOf(person.joints);
    person.known = await wholeOf(person.known);
    person.shown = true;
    for (const name of Object.keys(person.angles)) person.angles[name] = await numbersOf(person.angles[name]);
    for (const name of Object.keys(person.body ?? {})) person.body[name] = await numbersOf(person.body[name]);
  }
  if (data.model) {
    data.model.faces = new Uint16Array(bytesOf(data.model.faces).buffer);
    data.model.weights = sharesOf(bytesOf(data.model.weights), data.model.parents.length);
  }
  return data;
}

// The row of a frame in a person's arrays, or -1.
function rowOf(person, frame) {
  const row = frame - person.first;
  return row >= 0 && row < person.rows ? row : -1;
}

// The last frame that has begun at a time.
function frameAt(times, time) {
  let low = 0;
  let high = times.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (times[middle] <= time) low = middle;
    else high = middle - 1;
  }
  return low;
}

// The lowest and the highest of any number of values.
function extent(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return [low, high];
}

function css([red, green, blue], alpha = 1) {
  return `rgb(${red} ${green} ${blue} / ${alpha})`;
}

function mix(colour, other, share) {
  return colour.map((value, i) => value + (other[i] - value) * share);
}
