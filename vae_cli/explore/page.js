// The page: what a person sees and moves. It knows latents and pictures, and asks a link for the rest:
//   link.decode(z)             the item at a latent, as bytes
//   link.encode(file, invert)  {latent, pixels, negative} of a picture; null where it cannot be done
//   link.original(index)       a test item, as bytes; null where it is not there
//   link.address               whether the state is kept in the page's address

const WORDS = `
  <header><h1></h1><p class="about"></p></header>
  <main>
    <section class="stage" aria-label="Picture">
      <div class="frame"><canvas class="picture"></canvas><table class="values"></table></div>
      <p class="message" role="status"></p>
      <div class="row tools">
        <button class="undo" title="Ctrl+Z">Undo</button>
        <button class="reset" title="Take away all that was added">Reset</button>
        <button class="link" title="Copy the address of this state">Copy link</button>
        <button class="save" title="Save what is shown">Save PNG</button>
      </div>
      <div class="row beside">
        <figure class="origin"><canvas class="original"></canvas><figcaption>original</figcaption></figure>
        <figure class="drop"><label class="upload">Drop a picture here, or choose one
          <input type="file" accept="image/*"></label>
          <label><input type="checkbox" class="invert"> invert</label></figure>
      </div>
    </section>
    <section class="controls" aria-label="Sliders">
      <fieldset class="start"><legend>Start from</legend>
        <div class="row pick"><select class="class" aria-label="Class"></select>
          <button class="another">Another</button>
          <label>item <input type="number" class="index" min="0" value="0"></label></div>
        <div class="row"><button class="draw">Draw from the prior</button>
          <label class="grow">temperature <output class="shown temperature-shown"></output>
          <input type="range" class="temperature" min="0" max="2" step="0.05" value="1"></label></div>
      </fieldset>
      <fieldset class="blend"><legend>Blend two pictures</legend>
        <div class="row"><button class="set-a">Keep as A</button><canvas class="thumb a"></canvas>
          <input type="range" class="blend-slider" aria-label="From A to B" min="0" max="1" step="0.01"
            value="0" disabled>
          <canvas class="thumb b"></canvas><button class="set-b">Keep as B</button></div>
      </fieldset>
      <fieldset class="added"><legend>Add to the latent</legend>
        <div class="all"></div>
        <div class="telling"></div>
        <details class="less"><summary></summary><div></div></details>
        <details class="silent"><summary></summary><div></div></details>
      </fieldset>
    </section>
    <section class="map" aria-label="Map">
      <div class="plane"><canvas></canvas><p class="hint"></p></div>
      <ul class="legend"></ul>
    </section>
  </main>`;

const TELLING = 0.01; // nats of KL above which a dimension says something
const FIRST = 16; // dimensions whose sliders are always seen, if they say something
const REACH = 3; // of a slider, on both sides
const NEAR = 12; // pixels within which a click means a test item
const COLOURS = ["#4e79a7", "#f28e2b", "#e15759", "#76b7b2", "#59a14f", "#edc948", "#b07aa1", "#ff9da7",
  "#9c755f", "#8a8f98", "#1f9e89", "#c03d6f", "#6a6fc4", "#b5a642", "#3ba3d0", "#d07c3b"];

/** Of a class; where there are many, hues that are as far apart as can be. */
const colour = (label) => COLOURS[label] ?? `hsl(${137.5 * label} 55% 55%)`;
const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const floats = (text) => new Float32Array(bytes(text).buffer);
const encoded = (values) => btoa(String.fromCharCode(...new Uint8Array(values.buffer)));

/** Show the page in an element; returns a promise of the first picture. */
export function mount(root, facts, link) {
  root.classList.add("vae-explore");
  root.innerHTML = WORDS;
  const find = (selector) => root.querySelector(selector);
  const [channels, height, width] = facts.shape.length === 3 ? facts.shape : [0, 0, 0];
  const depth = facts.dims.length;
  const kl = floats(facts.kl), labels = floats(facts.labels), latents = floats(facts.latents);
  const axes = floats(facts.axes), center = floats(facts.center), share = floats(facts.share);
  const count = latents.length / depth;
  const items = floats(facts.items);
  const latent = (index) => latents.slice(index * depth, (index + 1) * depth);
  const order = [...kl.keys()].sort((i, j) => kl[j] - kl[i]);

  // ------------------------------------------------------------ the state, its history, its address

  const zeros = () => new Float32Array(depth);
  const begin = { start: floats(facts.start), offset: zeros(), shift: 0, item: facts.item,
    upload: facts.upload ? bytes(facts.upload) : null, a: null, b: null, blend: 0 };
  let state = begin, committed = begin;
  const past = [];

  /** start + offset + shift, each sum rounded once, as float32 arithmetic does. */
  function position({ start, offset, shift } = state) {
    return start.map((value, dim) => Math.fround(value + offset[dim]) + Math.fround(shift));
  }

  function address({ start, offset, shift, item, a, b, blend }) {
    const parts = { start: encoded(start), offset: encoded(offset), shift, item, blend };
    if (a) parts.a = encoded(a);
    if (b) parts.b = encoded(b);
    return `#${new URLSearchParams(parts)}`;
  }

  /** The state in an address, or null where there is none that fits this model. */
  function stateIn(hash) {
    const parts = new URLSearchParams(hash.slice(1));
    try {
      const vector = (name) => (parts.has(name) ? floats(parts.get(name)) : null);
      const number = (name) => Number(parts.get(name));
      const found = { start: vector("start"), offset: vector("offset"), shift: number("shift"),
        item: number("item"), upload: null, a: vector("a"), b: vector("b"), blend: number("blend") };
      const vectors = [found.start, found.offset, found.a ?? zeros(), found.b ?? zeros()];
      const sound = vectors.every((v) => v?.length === depth && v.every(Number.isFinite));
      return sound && [found.shift, found.item, found.blend].every(Number.isFinite) ? found : null;
    } catch {
      return null; // an address that someone cut short
    }
  }

  function move(change) {
    state = { ...state, ...change };
    render();
  }

  /** What was moved to is a state of its own: it can be undone, and stands in the address. */
  function commit() {
    if (state === committed) return;
    past.push(committed);
    committed = state;
    remember();
  }

  function remember() {
    find(".undo").disabled = past.length === 0;
    if (link.address) history.replaceState(null, "", address(state));
  }

  function go(change) {
    move(change);
    commit();
  }

  function undo() {
    if (!past.length) return;
    state = committed = past.pop();
    render();
    remember();
  }

  /** From another latent, with nothing added to it. */
  function startFrom(start, item = -1, upload = null) {
    go({ start, offset: zeros(), shift: 0, item, upload });
  }

  // ------------------------------------------------------------ the picture

  let wanted = null, busy = false, shown = null;

  /** Decode the newest state; what was asked for in between is left out. */
  async function show() {
    wanted = position();
    if (busy) return;
    busy = true;
    try {
      while (wanted) {
        const z = wanted;
        wanted = null;
        shown = await link.decode(z);
        paint(find(".picture"), shown);
        root.dataset.shown = encoded(z);
      }
    } catch (error) {
      say(error.message);
    } finally {
      busy = false;
    }
  }

  function paint(canvas, pixels) {
    if (!channels) return list(pixels);
    canvas.width = width;
    canvas.height = height;
    const image = new ImageData(width, height);
    for (let i = 0; i < width * height; i++) {
      const pixel = pixels.subarray(i * channels, (i + 1) * channels);
      const grey = channels < 3;
      image.data.set(grey ? [pixel[0], pixel[0], pixel[0]] : pixel.subarray(0, 3), 4 * i);
      image.data[4 * i + 3] = channels % 2 ? 255 : pixel[channels - 1];
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
  }

  /** A vector as a table of its columns. */
  function list(content) {
    const values = new Float32Array(content.slice().buffer);
    find(".values").replaceChildren(...facts.columns.map((name, column) => {
      const row = document.createElement("tr");
      row.append(element("th", name), element("td", values[column].toPrecision(5)));
      return row;
    }));
  }

  let beside = null;

  /** What the start was encoded from: the uploaded picture or a test item. */
  async function showOriginal() {
    const { upload, item } = state;
    if (!channels || beside === (upload ?? item)) return;
    beside = upload ?? item;
    const pixels = upload ?? (item >= 0 ? await link.original(item) : null);
    if (beside !== (upload ?? item)) return; // another was chosen meanwhile
    find(".origin").hidden = !pixels;
    if (pixels) paint(find(".original"), pixels);
  }

  function say(text) {
    find(".message").textContent = text;
  }

  // ------------------------------------------------------------ sliders

  function element(name, text, properties = {}) {
    return Object.assign(document.createElement(name), { textContent: text }, properties);
  }

  const sliders = [];

  /** A slider that adds to the latent; `read` and `write` are its part of the state. */
  function slider(place, name, note, read, write) {
    const row = element("label", "", { className: "slider" });
    const input = element("input", "", { type: "range", min: -REACH, max: REACH, step: 0.05, value: 0 });
    const value = element("output", "");
    row.append(element("span", name, { className: "name" }), input, value,
      element("span", note, { className: "note" }));
    input.addEventListener("input", () => move(write(Number(input.value))));
    input.addEventListener("change", commit);
    row.addEventListener("dblclick", () => go(write(0)));
    place.append(row);
    sliders.push(() => {
      const added = read(state);
      input.value = added;
      value.textContent = added ? added.toFixed(2).replace(/^(?!-)/, "+") : "0";
      row.classList.toggle("moved", added !== 0);
    });
    return input;
  }

  slider(find(".all"), "all", "the whole mean", (s) => s.shift, (shift) => ({ shift }))
    .classList.add("shift");
  for (const [rank, dim] of order.entries()) {
    const telling = kl[dim] > TELLING;
    const place = rank < FIRST ? ".telling" : ".less div";
    slider(find(telling ? place : ".silent div"), facts.dims[dim],
      telling ? `${kl[dim].toFixed(2)} ${facts.unit}` : "silent", (s) => s.offset[dim],
      (value) => ({ offset: state.offset.with(dim, value) })).dataset.dim = dim;
  }
  const silent = kl.filter((value) => value <= TELLING).length;
  const less = Math.max(0, depth - silent - FIRST);
  find(".less").hidden = !less;
  find(".less summary").textContent = `${less} that say less`;
  find(".silent").hidden = !silent;
  find(".silent summary").textContent = `${silent} silent dimension${silent === 1 ? "" : "s"}`;

  // ------------------------------------------------------------ where to start

  const classes = facts.classes;
  find(".class").replaceChildren(element("option", "any class", { value: -1 }),
    ...classes.map((name, label) => element("option", name, { value: label })));
  find(".class").hidden = !classes.length;
  find(".pick").hidden = !count;

  function another() {
    const label = Number(find(".class").value);
    const fitting = [...Array(count).keys()].filter((i) => label < 0 || labels[i] === label);
    if (!fitting.length) return say("None of the test items on the map is of that class.");
    say("");
    visit(fitting[Math.floor(Math.random() * fitting.length)]);
  }

  /** Start from one of the test items on the map. */
  function visit(index) {
    startFrom(latent(index), items[index]);
  }

  function showTemperature() {
    find(".temperature-shown").textContent = Number(find(".temperature").value).toFixed(2);
  }

  /** One standard normal number (Box and Muller, 1958). */
  function normal() {
    return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
  }

  function draw() {
    const temperature = Number(find(".temperature").value);
    startFrom(zeros().map(() => temperature * normal()));
  }

  async function upload(file) {
    if (!file) return;
    try {
      const found = await link.encode(file, find(".invert").checked);
      startFrom(Float32Array.from(found.latent), -1, Uint8Array.from(found.pixels));
      say(found.negative ? "Its background is the opposite of the data's: try “invert”." : "");
    } catch (error) {
      say(error.message);
    }
  }

  // ------------------------------------------------------------ the blend

  function keep(name) {
    go({ [name]: position() });
  }

  /** The great circle between two latents; the line where they lie on one through the origin. */
  function between(a, b, t) {
    const dot = (u, v) => u.reduce((sum, value, dim) => sum + value * v[dim], 0);
    const cosine = dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
    const angle = Math.acos(Math.max(-1, Math.min(1, cosine)));
    const bent = Math.sin(angle) > 1e-3;
    const weight = (part) => (bent ? Math.sin(part * angle) / Math.sin(angle) : part);
    return a.map((value, dim) => weight(1 - t) * value + weight(t) * b[dim]);
  }

  function blend() {
    const t = Number(find(".blend-slider").value);
    const start = between(state.a, state.b, t);
    move({ start, offset: zeros(), shift: 0, item: -1, upload: null, blend: t });
  }

  const kept = { a: null, b: null };

  /** The two small pictures, decoded when they change. */
  async function thumbs() {
    for (const name of ["a", "b"]) {
      const z = state[name], canvas = find(`.thumb.${name}`);
      canvas.hidden = !z || !channels;
      if (z && z !== kept[name]) paint(canvas, await link.decode(z));
      kept[name] = z;
    }
  }

  // ------------------------------------------------------------ the map

  const plane = find(".plane canvas");
  const dots = new Float32Array(2 * count);
  let edge = [-3, 3, -3, 3];

  function project(z) {
    return [0, 1].map((axis) => z.reduce(
      (sum, value, dim) => sum + (value - center[dim]) * axes[axis * depth + dim], 0));
  }

  for (let i = 0; i < count; i++) dots.set(project(latent(i)), 2 * i);
  if (count) {
    const along = (axis) => [...dots].filter((_, i) => i % 2 === axis).sort((x, y) => x - y);
    const ends = (values) => [values[0], values.at(-1)].map((x) => 1.06 * x);
    edge = [...ends(along(0)), ...ends(along(1))];
  }
  find(".map").hidden = !share[1];

  const toPixels = ([x, y]) => [
    (x - edge[0]) / (edge[1] - edge[0]) * plane.clientWidth,
    (edge[3] - y) / (edge[3] - edge[2]) * plane.clientHeight];
  const toPlane = (x, y) => [
    edge[0] + x / plane.clientWidth * (edge[1] - edge[0]),
    edge[3] - y / plane.clientHeight * (edge[3] - edge[2])];

  let backdrop = null;

  /** All test items, drawn once for each size of the map. */
  function drawDots() {
    const ratio = window.devicePixelRatio || 1;
    plane.width = plane.clientWidth * ratio;
    plane.height = plane.clientHeight * ratio;
    backdrop = element("canvas", "", { width: plane.width, height: plane.height });
    const pen = backdrop.getContext("2d");
    pen.scale(ratio, ratio);
    pen.globalAlpha = 0.65;
    const radius = count > 1500 ? 1.6 : 2.5;
    for (let i = 0; i < count; i++) {
      pen.fillStyle = colour(labels[i] ?? 0);
      dot(pen, toPixels(dots.subarray(2 * i, 2 * i + 2)), radius);
    }
  }

  function dot(pen, [x, y], radius) {
    pen.beginPath();
    pen.arc(x, y, radius, 0, 2 * Math.PI);
    pen.fill();
  }

  function drawMap() {
    if (find(".map").hidden || !plane.clientWidth) return;
    if (!backdrop) drawDots();
    const pen = plane.getContext("2d"), ratio = plane.width / plane.clientWidth;
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, plane.width, plane.height);
    pen.drawImage(backdrop, 0, 0);
    pen.scale(ratio, ratio);
    for (const [name, z] of [["A", state.a], ["B", state.b], ["", position()]]) {
      if (!z) continue;
      const [x, y] = toPixels(project(z));
      pen.fillStyle = "#000";
      dot(pen, [x, y], name ? 8 : 7);
      pen.fillStyle = "#fff";
      dot(pen, [x, y], name ? 7 : 5);
      pen.fillStyle = "#000";
      pen.font = "bold 10px system-ui, sans-serif";
      pen.textAlign = "center";
      pen.fillText(name, x, y + 3.5);
    }
  }

  /** The test item within a few pixels of a place, or -1. */
  function nearest(x, y) {
    let best = -1, least = NEAR;
    for (let i = 0; i < count; i++) {
      const [u, v] = toPixels(dots.subarray(2 * i, 2 * i + 2));
      const distance = Math.hypot(u - x, v - y);
      if (distance < least) [best, least] = [i, distance];
    }
    return best;
  }

  function clickMap({ offsetX, offsetY }) {
    const index = nearest(offsetX, offsetY);
    if (index >= 0) return visit(index);
    const [x, y] = toPlane(offsetX, offsetY);
    startFrom(center.map((value, dim) => value + x * axes[dim] + y * axes[depth + dim]));
  }

  function hover({ offsetX, offsetY }) {
    const index = nearest(offsetX, offsetY);
    plane.title = index < 0 ? "" : `item ${items[index]} ${classes[labels[index]] ?? ""}`;
  }

  const percent = [...share].map((part) => `${Math.round(100 * part)} %`);
  find(".hint").textContent = `${count.toLocaleString("en")} test items by the first two principal ` +
    `directions of their latents (${percent[0]} and ${percent[1]} of the variance). Click to go there.`;
  find(".legend").replaceChildren(...classes.map((name, label) => {
    const entry = element("li", name);
    entry.style.setProperty("--colour", colour(label));
    return entry;
  }));

  // ------------------------------------------------------------ all of it together

  function render() {
    for (const update of sliders) update();
    find(".blend-slider").disabled = !(state.a && state.b);
    find(".blend-slider").value = state.blend;
    find(".index").value = state.item >= 0 ? state.item : "";
    drawMap();
    return Promise.all([show(), thumbs(), showOriginal()]).catch((error) => say(error.message));
  }

  async function save() {
    const canvas = find(".picture");
    const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
    const anchor = element("a", "", { href: URL.createObjectURL(blob), download: "explore.png" });
    anchor.click();
    URL.revokeObjectURL(anchor.href);
  }

  async function copy() {
    try {
      await navigator.clipboard.writeText(location.href);
      say("The address of this state is copied.");
    } catch {
      say("The address of this state is in the address bar.");
    }
  }

  const on = (selector, event, action) => find(selector).addEventListener(event, action);
  on(".undo", "click", undo);
  on(".reset", "click", () => startFrom(state.start, state.item, state.upload));
  on(".link", "click", copy);
  on(".save", "click", save);
  on(".another", "click", another);
  on(".index", "change", ({ target }) => visit(items.reduce(
    (best, item, index) => (Math.abs(item - target.value) < Math.abs(items[best] - target.value) ? index : best),
    0)));
  on(".draw", "click", draw);
  on(".temperature", "input", showTemperature);
  on(".upload input", "change", ({ target }) => upload(target.files[0]));
  on(".set-a", "click", () => keep("a"));
  on(".set-b", "click", () => keep("b"));
  on(".blend-slider", "input", blend);
  on(".blend-slider", "change", commit);
  on(".plane canvas", "click", clickMap);
  on(".plane canvas", "mousemove", hover);
  root.addEventListener("dragover", (event) => event.preventDefault());
  root.addEventListener("drop", (event) => {
    event.preventDefault();
    if (!find(".drop").hidden) upload(event.dataTransfer.files[0]);
  });
  root.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === "z") undo();
  });
  if (link.address) {
    window.addEventListener("hashchange", () => go(stateIn(location.hash) ?? {}));
  }
  new ResizeObserver(() => {
    backdrop = null;
    drawMap();
  }).observe(plane);

  find("h1").textContent = facts.title;
  find(".about").textContent = `${facts.data}, ${depth} dimensions, ${depth - silent} of them telling`;
  showTemperature();
  find(".drop").hidden = !link.encode || !channels;
  find(".link").hidden = !link.address;
  find(".save").hidden = find(".picture").hidden = !channels;
  find(".values").hidden = Boolean(channels);
  for (const canvas of root.querySelectorAll(".picture, .original, .thumb")) {
    canvas.style.aspectRatio = `${width} / ${height}`;
  }
  state = committed = (link.address && stateIn(location.hash)) || begin;
  find(".undo").disabled = true;
  return render();
}
