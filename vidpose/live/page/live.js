// A live run: frames come over a WebSocket, first what to draw as JSON, then the picture; both are drawn together.

const data = JSON.parse(one("#data").textContent);
const OF_LATE = 100; // frames that the numbers are of
const FAR = 0.8; // metres that people may go before the scene follows them
const AGAIN = 1000; // milliseconds until a lost connection is tried again

data.people = [];
data.bounds = [[-1, 2, 0], [1, 4, 1.8]];
data.floors = [{ x: 0, y: 3, z: 0, reach: 2, spacing: 0.5 }];

const picture = new Picture(one("#skeletons"), data);
const scene = new Scene(one("#scene canvas"), data, () => requestAnimationFrame(() => scene.draw(0)));
const image = one("#image").getContext("2d");
const recent = []; // the last frames: when each came, and how late it was

// A person of a message, as the drawing scripts have them: with one row.
function person(told) {
  const joints = told.joints ?? Array(3 * data.layout3d.colours.length).fill(NaN);
  return { ...told, first: 0, rows: 1, shown: true, joints: Float32Array.from(joints) };
}

// The scene looks where people are, and moves when they have gone elsewhere.
function follow() {
  const points = data.people.filter(({ joints }) => !Number.isNaN(joints[0])).map(({ joints }) => joints);
  if (!points.length) return;
  const [x, y] = [0, 1].map((axis) => {
    const [low, high] = extent(points.map((joints) => joints[axis]));
    return (low + high) / 2;
  });
  const [floor] = data.floors;
  if (Math.hypot(x - floor.x, y - floor.y) < FAR && points.length === follow.count) return;
  follow.count = points.length;
  const [low, high] = extent(points.map((joints) => joints[0]));
  const reach = Math.ceil((high - low) / 2 + 1.5);
  data.floors = [{ x: Math.round(2 * x) / 2, y: Math.round(2 * y) / 2, z: 0, reach, spacing: 0.5 }];
  // Somebody who stretches out an arm stays in sight.
  scene.points = [low - 0.9, high + 0.9].flatMap((at) => [[at, y - 0.5, 0], [at, y + 0.5, 0], [at, y, 2]]);
  scene.centre();
}

function count({ latency, dropped }) {
  recent.push({ at: performance.now(), latency });
  if (recent.length > OF_LATE) recent.shift();
  const sorted = recent.map((frame) => frame.latency).sort((a, b) => a - b);
  const share = (part) => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))];
  const seconds = (recent[recent.length - 1].at - recent[0].at) / 1000;
  one("#latency").textContent = Math.round(share(0.5));
  one("#late").textContent = Math.round(share(0.95));
  const rate = (recent.length - 1) / seconds;
  one("#rate").textContent = seconds > 0 ? rate.toFixed(rate < 10 ? 1 : 0) : "–";
  one("#dropped").textContent = dropped;
  one("#people").textContent = data.people.length === 1 ? "1 person" : `${data.people.length} people`;
}

async function show(message, jpeg) {
  const bitmap = await createImageBitmap(jpeg);
  const { canvas } = image;
  [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
  image.drawImage(bitmap, 0, 0);
  bitmap.close();
  data.people = message.people.map(person);
  follow();
  picture.draw(0);
  scene.draw(0);
  count(message);
  document.body.dataset.frame = message.time;
}

function connect() {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/page`);
  socket.binaryType = "blob";
  let message;
  socket.onmessage = (event) => {
    if (typeof event.data === "string") message = JSON.parse(event.data);
    else show(message, event.data);
  };
  const says = (words, over) => {
    one("#facts").textContent = words;
    document.body.classList.toggle("over", over);
  };
  socket.onopen = () => says(`live · ${data.width} x ${data.height}`, false);
  socket.onclose = () => {
    says("it has ended, or cannot be reached", true);
    setTimeout(connect, AGAIN);
  };
}

furnish(data, scene);
connect();
