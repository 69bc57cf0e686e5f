// What the page is wired together from: the views, the clock, and the controls.

let data, times, people, player, picture, scene, curves;
const film = one("#film").textContent.trim();
const video = one("#picture video");

// In the video, of a frame of the page: that of a long one leaves some out.
const numberOf = (frame) => data.firstFrame + data.frameStep * frame;

let due = false;
function redraw() {
  if (due) return;
  due = true;
  requestAnimationFrame(() => {
    due = false;
    picture.draw(player.frame);
    scene.draw(player.frame);
  });
}

function show(frame, playing) {
  document.body.classList.toggle("playing", playing);
  one("#play").setAttribute("aria-label", playing ? "Pause" : "Play");
  one("#scrub").value = frame;
  one("#scrub").setAttribute("aria-valuetext", `${seconds(times[frame])}, frame ${numberOf(frame)}`);
  one("#clock").textContent = `${seconds(times[frame])} · frame ${numberOf(frame)}`;
  curves.draw(frame);
  redraw();
}

function describe() {
  one("#facts").textContent = data.facts;
  one("#scene-note").textContent = data.placeNote;
  one("#scrub").max = player.last;
  furnish(data, scene);
}

function listPeople() {
  for (const person of people) {
    const label = document.createElement("label");
    label.className = "person";
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = true;
    box.setAttribute("aria-label", `Show person ${person.id}`);
    box.addEventListener("change", () => {
      person.shown = box.checked;
      redraw();
    });
    const number = document.createElement("b");
    number.textContent = person.id;
    number.style.background = css(person.colour);
    const when = document.createElement("small");
    const [from, to] = [person.first, person.first + person.rows - 1].map((frame) => moment(times[frame], times, 1));
    when.textContent = `${from.replace(" s", "")} to ${to}`;
    label.append(box, number, when);
    one("#picker").append(label);
    if (Object.keys(person.angles).length) one("#whose").append(new Option(`person ${person.id}`, person.id));
  }
  one(".people").hidden = people.length === 0;
  one(".angles").hidden = one("#whose").options.length === 0;
  const chooseWhose = () => {
    curves.show(people.find((person) => person.id === Number(one("#whose").value)));
    curves.draw(player.frame);
  };
  one("#whose").addEventListener("change", chooseWhose);
  if (!one(".angles").hidden) chooseWhose();
}

// How much of a longer video the curves show at a time.
function chooseStretch() {
  const length = lengthOf(times);
  for (const stretch of STRETCHES.filter((stretch) => stretch < length)) {
    one("#stretch").append(new Option(stretch < 60 ? `${stretch} s` : `${stretch / 60} min`, stretch));
  }
  one(".stretch").hidden = one("#stretch").options.length === 1;
  one("#stretch").value = curves.stretch;
  one("#stretch").addEventListener("change", (event) => curves.reach(Number(event.target.value)));
}

function listen() {
  one("#play").addEventListener("click", () => player.toggle());
  one("#back").addEventListener("click", () => step(-1));
  one("#forward").addEventListener("click", () => step(1));
  one("#scrub").addEventListener("input", (event) => player.seek(Number(event.target.value)));
  one("#speed").addEventListener("change", (event) => player.setSpeed(Number(event.target.value)));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select, summary")) return;
    const act = {
      " ": () => player.toggle(),
      ArrowLeft: () => step(event.shiftKey ? -10 : -1),
      ArrowRight: () => step(event.shiftKey ? 10 : 1),
      Home: () => player.seek(0),
      End: () => player.seek(player.last),
    }[event.key];
    // Space on a button or a box presses it.
    if (!act || (event.key === " " && event.target.matches("button, input[type=checkbox]"))) return;
    act();
    event.preventDefault();
  });
  const resized = new ResizeObserver(redraw);
  for (const canvas of document.querySelectorAll("figure canvas")) resized.observe(canvas);
}

// People as bodies, where the result has some, or as skeletons.
function chooseLooks() {
  one(".looks").hidden = !data.model;
  if (!data.model) return;
  scene.bodies = new Bodies(data.model);
  const buttons = [...document.querySelectorAll(".looks button")];
  const show = (look) => {
    scene.bodies.shown = look === "body";
    for (const button of buttons) button.setAttribute("aria-pressed", button.dataset.look === look);
    redraw();
  };
  for (const button of buttons) button.addEventListener("click", () => show(button.dataset.look));
  show("body");
}

function step(count) {
  if (player.playing) player.pause();
  player.seek(player.frame + count);
}

// After the first drawing: a long video takes a moment to decode from text.
function loadFilm() {
  if (!film) {
    video.remove();
    one("#picture-note").textContent = "This page was made without the video.";
    return;
  }
  video.addEventListener("error", () => {
    video.remove();
    one("#picture-note").textContent = "This browser cannot play the video (H.264).";
  });
  video.src = URL.createObjectURL(new Blob([bytesOf(film)], { type: "video/mp4" }));
  video.currentTime = times[player.frame] - times[0] + INSIDE;
}

async function begin() {
  data = await readData(one("#data").textContent);
  ({ times, people } = data);
  player = new Player(film ? video : null, times, show);
  picture = new Picture(one("#picture canvas"), data);
  scene = new Scene(one("#scene canvas"), data, redraw);
  curves = new Curves(one("#curves"), data, (time) => player.seek(frameAt(times, time + INSIDE)));
  describe();
  listPeople();
  chooseStretch();
  listen();
  chooseLooks();
  player.set(0);
  requestAnimationFrame(() => setTimeout(loadFilm));
}

begin().catch((error) => {
  one("#facts").textContent = `This page cannot be shown by this browser (${error.message}).`;
  throw error;
});
