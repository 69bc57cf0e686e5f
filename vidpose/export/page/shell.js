// What pages with a scene have around it: facts of the run, and buttons to look from elsewhere.

const one = (selector) => document.querySelector(selector);

function furnish(data, scene) {
  one(".views").style.setProperty("--aspect", data.width / data.height);
  for (const [key, value] of Object.entries(data.provenance)) {
    const term = document.createElement("dt");
    const fact = document.createElement("dd");
    term.textContent = key.replaceAll("_", " ");
    fact.textContent = value ?? "none";
    one("#provenance").append(term, fact);
  }
  for (const button of document.querySelectorAll(".tools button")) {
    const [azimuth, elevation] = [button.dataset.azimuth, button.dataset.elevation].map((d) => (d * Math.PI) / 180);
    button.addEventListener("click", () => scene.look({ azimuth, elevation }));
  }
}
