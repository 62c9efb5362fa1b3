// The page: what the user sees and moves. It gets the following from a link:
//   link.decode(z, told)             the item at a latent, as bytes: pixels, or a row (rows.js)
//   link.encode(file, invert, told)  {latent, pixels, negative} of a picture; null if the link cannot
//   link.original(item)              a test item, as bytes; null if it is not available
//   link.address                     whether the state is stored in the page's address

const MAX_VISIBLE = 16; // sliders of active dimensions that are always visible
const MAX_OFFSET = 3; // of a slider, in both directions

class Page {
  constructor(root, facts, link) {
    root.classList.add("vae-explore");
    root.innerHTML = MARKUP;
    this.root = root;
    this.facts = facts;
    this.link = link;
    this.shape = facts.shape.length === 3 ? facts.shape : [0, 0, 0];
    this.row = facts.columns.length ? new RowView(this.find(".values"), facts) : null;
    this.latentDim = facts.dims.length;
    this.labels = floats(facts.labels);
    this.items = floats(facts.items);
    this.latents = floats(facts.latents);
    this.samples = floats(facts.samples);
    this.toldCount = facts.condition.length;
    this.conditions = floats(facts.conditions);
    this.sampleConditions = floats(facts.sample_conditions);
    this.map = new LatentMap(this.find(".plane canvas"), facts, (i) => this.latent(i), this.items.length);
    this.state = new State({ start: floats(facts.start), offset: new Float32Array(this.latentDim), shift: 0,
      item: facts.item, upload: facts.upload ? bytes(facts.upload) : null, a: null, b: null, blend: 0,
      told: floats(facts.told),
    }, link.address ? location.hash : "", () => this.render());
    this.sliders = []; // and menus: functions that show their part of a state
    this.kept = { a: null, b: null };
    this.wanted = null; // the latent to decode next, and what the model is told
    this.busy = false;
    this.addressed = this.state.committed;
    this.addSliders();
    addMenus(this);
    this.describe();
    this.listen();
  }

  find(selector) {
    return this.root.querySelector(selector);
  }

  /** The latent of a test item on the map, or another row of latents. */
  latent(index, latents = this.latents) {
    return latents.slice(index * this.latentDim, (index + 1) * this.latentDim);
  }

  /** What the model is told of a test item on the map, or another row of conditions. */
  told(index, conditions = this.conditions) {
    return conditions.slice(index * this.toldCount, (index + 1) * this.toldCount);
  }

  say(text) {
    this.find(".message").textContent = text;
  }

  // ------------------------------------------------------------ showing the state

  /** Show the state: sliders, map and address at once, and pictures when they are decoded. */
  render() {
    const { now, past } = this.state;
    for (const update of this.sliders) update(now);
    this.find(".undo").disabled = past.length === 0;
    this.find(".blend-slider").disabled = !(now.a && now.b);
    this.find(".blend-slider").value = now.blend;
    this.find(".index").value = now.item >= 0 ? now.item : "";
    this.paintMap();
    this.updateAddress();
    return Promise.all([this.decode(), this.showKept(), this.showOriginal()])
      .catch((error) => this.say(error.message));
  }

  paintMap() {
    const { now } = this.state;
    this.map.paint([["A", now.a], ["B", now.b], ["", this.state.position()]]);
  }

  /** Store the committed state in the address, which browsers allow only at a limited rate. */
  updateAddress() {
    if (!this.link.address || this.addressed === this.state.committed) return;
    this.addressed = this.state.committed;
    history.replaceState(null, "", this.state.address());
  }

  /** Decode the newest state; states in between are skipped. */
  async decode() {
    this.wanted = [this.state.position(), this.state.now.told];
    if (this.busy) return;
    this.busy = true;
    try {
      while (this.wanted) {
        const [z, told] = this.wanted;
        this.wanted = null;
        this.show(await this.link.decode(z, told));
        this.root.dataset.shown = encoded(z);
        this.root.dataset.told = encoded(told);
      }
    } finally {
      this.busy = false;
    }
  }

  /** Show an item: an image on the large canvas, or a row in the table. */
  show(content) {
    if (this.row) this.row.show(content);
    else this.paint(this.find(".picture"), content);
  }

  /** Show the bytes (H, W, C) of an image on a canvas. */
  paint(canvas, content) {
    const [channels, height, width] = this.shape;
    canvas.width = width;
    canvas.height = height;
    const image = new ImageData(width, height);
    for (let i = 0; i < width * height; i++) {
      const pixel = content.subarray(i * channels, (i + 1) * channels);
      image.data.set(channels < 3 ? [pixel[0], pixel[0], pixel[0]] : pixel.subarray(0, 3), 4 * i);
      image.data[4 * i + 3] = channels % 2 ? 255 : pixel[channels - 1];
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
  }

  /** Show the picture, the row or the test item from which the start was encoded. */
  async showOriginal() {
    const { upload, item } = this.state.now, source = upload ?? item;
    if (this.original === source) return;
    this.original = source;
    const content = upload ?? (item >= 0 ? await this.link.original(item) : null);
    if (this.original !== source) return; // the user has chosen another in the meantime
    if (this.row) {
      this.row.compare(content, upload ? "your row" : `row ${item}`);
      return;
    }
    this.find(".origin").hidden = !content;
    if (content) this.paint(this.find(".original"), content);
  }

  /** The two small pictures, decoded when they change; the model is told the same of all. */
  async showKept() {
    const { told } = this.state.now;
    for (const name of ["a", "b"]) {
      const z = this.state.now[name], canvas = this.find(`.thumb.${name}`);
      const changed = z !== this.kept[name] || told !== this.kept.told;
      this.kept[name] = z;
      canvas.hidden = !z || !this.shape[0];
      if (!canvas.hidden && changed) this.paint(canvas, await this.link.decode(z, told));
    }
    this.kept.told = told;
  }

  // ------------------------------------------------------------ text and sliders

  describe() {
    const { facts } = this, [channels, height, width] = this.shape;
    const hide = (selector, hidden) => { this.find(selector).hidden = hidden; };
    hide(".pick", !this.items.length);
    hide(".absent", this.items.length > 0 || facts.upload);
    hide(".class", !facts.classes.length);
    hide(".drop", !this.link.encode || !channels);
    hide(".link", !this.link.address);
    hide(".save", !channels);
    hide(".picture", !channels);
    hide(".values", channels > 0);
    hide(".origin", true);
    hide("label:has(.temperature)", this.samples.length > 0);
    hide(".told", !this.toldCount);
    hide(".map", !floats(facts.explained_variance_ratio)[1]);
    this.find("h1").textContent = facts.title;
    this.find(".class").replaceChildren(element("option", "any class", { value: -1 }),
      ...facts.classes.map((name, label) => element("option", name, { value: label })));
    for (const canvas of this.root.querySelectorAll(".picture, .original, .thumb")) {
      canvas.style.aspectRatio = `${width} / ${height}`;
      canvas.style.setProperty("--ratio", width / height);
    }
    const [first, second] = [...floats(facts.explained_variance_ratio)].map((part) => `${Math.round(100 * part)} %`);
    this.find(".hint").textContent = `${this.items.length.toLocaleString("en")} test items by the first ` +
      `two principal directions of their latents (${first} and ${second} of the variance). ` +
      "Click to go there.";
    this.find(".legend").replaceChildren(...facts.classes.map((name, label) => {
      const entry = element("li", name);
      entry.style.setProperty("--colour", facts.colours[label]);
      return entry;
    }));
    this.showTemperature();
  }

  /** Add a slider for the whole latent, and one per dimension, sorted by KL if it is known. */
  addSliders() {
    const { facts, latentDim } = this, kl = floats(facts.kl);
    this.addSlider(".all", "all", "all dimensions", (now) => now.shift, (shift) => ({ shift }))
      .classList.add("shift");
    const order = [...kl.keys()].sort((i, j) => kl[j] - kl[i]);
    for (const [rank, dim] of order.entries()) {
      const active = !(kl[dim] <= facts.active_threshold), known = !Number.isNaN(kl[dim]);
      const place = rank < MAX_VISIBLE ? ".informative" : ".less div";
      this.addSlider(active ? place : ".inactive div", facts.dims[dim],
        !known ? "" : active ? `${kl[dim].toFixed(2)} ${facts.unit}` : "inactive", (now) => now.offset[dim],
        (value) => ({ offset: this.state.now.offset.with(dim, value) })).dataset.dim = dim;
    }
    const inactive = kl.filter((value) => value <= facts.active_threshold).length;
    const less = Math.max(0, latentDim - inactive - MAX_VISIBLE);
    this.find(".less").hidden = !less;
    this.find(".less summary").textContent = `${less} more with less information`;
    this.find(".inactive").hidden = !inactive;
    this.find(".inactive summary").textContent =
      `${inactive} inactive dimension${inactive === 1 ? "" : "s"}`;
    this.find(".about").textContent =
      `${facts.data}, ${latentDim} dimensions, ${latentDim - inactive} of them active`;
  }

  /** Add a slider; `read` and `write` access its part of the state. */
  addSlider(place, name, note, read, write) {
    const row = element("label", "", { className: "slider" });
    const input = element("input", "", { type: "range", min: -MAX_OFFSET, max: MAX_OFFSET, step: 0.05, value: 0 });
    const value = element("output", "");
    row.append(element("span", name, { className: "name" }), input, value,
      element("span", note, { className: "note" }));
    input.addEventListener("input", () => this.state.move(write(Number(input.value))));
    input.addEventListener("change", () => this.state.commit());
    row.addEventListener("dblclick", () => this.state.go(write(0)));
    this.find(place).append(row);
    this.sliders.push((now) => {
      const added = read(now);
      input.value = added;
      value.textContent = added ? added.toFixed(2).replace(/^(?!-)/, "+") : "0";
      row.classList.toggle("moved", added !== 0);
    });
    return input;
  }

  // ------------------------------------------------------------ answering the user

  listen() {
    const on = (selector, event, action) => this.find(selector).addEventListener(event, action);
    const { state } = this;
    on(".undo", "click", () => state.undo());
    on(".reset", "click", () => state.startFrom(state.now.start, state.now.item, state.now.upload));
    on(".link", "click", () => this.copyLink());
    on(".save", "click", () => this.save());
    on(".another", "click", () => this.another());
    on(".index", "change", ({ target }) => this.visitItem(Number(target.value)));
    on(".sample", "click", () => this.sampleFromPrior());
    on(".temperature", "input", () => this.showTemperature());
    on(".upload input", "change", ({ target }) => this.upload(target.files[0]));
    on(".set-a", "click", () => state.go({ a: state.position() }));
    on(".set-b", "click", () => state.go({ b: state.position() }));
    on(".blend-slider", "input", ({ target }) => this.blend(Number(target.value)));
    on(".blend-slider", "change", () => state.commit());
    on(".plane canvas", "click", ({ offsetX, offsetY }) => this.visitPosition(offsetX, offsetY));
    on(".plane canvas", "mousemove", ({ offsetX, offsetY }) => this.hover(offsetX, offsetY));
    this.root.addEventListener("dragover", (event) => event.preventDefault());
    this.root.addEventListener("drop", (event) => {
      event.preventDefault();
      if (!this.find(".drop").hidden) this.upload(event.dataTransfer.files[0]);
    });
    this.root.addEventListener("keydown", (event) => {
      if ((event.ctrlKey || event.metaKey) && event.key === "z") state.undo();
    });
    if (this.link.address) {
      window.addEventListener("hashchange", () => state.go(state.read(location.hash) ?? {}));
    }
    new ResizeObserver(() => {
      this.map.resized();
      this.paintMap();
    }).observe(this.find(".plane canvas"));
  }

  /** Start from a test item on the map. */
  visit(index) {
    this.say("");
    this.state.startFrom(this.latent(index), this.items[index], null, this.told(index));
  }

  /** Start from the test item on the map with the nearest number. */
  visitItem(number) {
    const distance = (index) => Math.abs(this.items[index] - number);
    this.visit(this.items.reduce((best, _, index) => (distance(index) < distance(best) ? index : best), 0));
  }

  visitPosition(x, y) {
    const index = this.map.nearest(x, y);
    if (index >= 0) this.visit(index);
    else this.state.startFrom(this.map.at(x, y));
  }

  another() {
    const label = Number(this.find(".class").value);
    const fitting = [...this.items.keys()].filter((i) => label < 0 || this.labels[i] === label);
    if (fitting.length) this.visit(fitting[Math.floor(Math.random() * fitting.length)]);
    else this.say("None of the test items on the map is of that class.");
  }

  hover(x, y) {
    const index = this.map.nearest(x, y), name = this.facts.classes[this.labels[index]] ?? "";
    this.find(".plane canvas").title = index < 0 ? "" : `item ${this.items[index]} ${name}`;
  }

  showTemperature() {
    const temperature = Number(this.find(".temperature").value);
    this.find(".temperature-shown").textContent = temperature.toFixed(2);
  }

  sampleFromPrior() {
    const temperature = Number(this.find(".temperature").value), count = this.samples.length / this.latentDim;
    if (!count) return this.state.startFrom(this.state.zeros().map(() => temperature * sampleNormal()));
    const all = Array.from({ length: count }, (_, index) => index), { told } = this.state.now;
    const isTold = (index) => this.told(index, this.sampleConditions).every((value, i) => Object.is(value, told[i]));
    const fitting = all.filter(isTold), some = fitting.length ? fitting : all;
    const index = some[Math.floor(Math.random() * some.length)];
    return this.state.startFrom(this.latent(index, this.samples), -1, null, this.told(index, this.sampleConditions));
  }

  blend(t) {
    const { a, b } = this.state.now, zeros = this.state.zeros();
    this.state.move({ start: slerp(a, b, t), offset: zeros, shift: 0, item: -1, upload: null, blend: t });
  }

  async upload(file) {
    if (!file) return;
    try {
      const found = await this.link.encode(file, this.find(".invert").checked, this.state.now.told);
      this.state.startFrom(Float32Array.from(found.latent), -1, Uint8Array.from(found.pixels));
      this.say(found.negative ? "Its background is the opposite of the data's background: try “invert”." : "");
    } catch (error) {
      this.say(error.message);
    }
  }

  async save() {
    const blob = await new Promise((done) => this.find(".picture").toBlob(done, "image/png"));
    const anchor = element("a", "", { href: URL.createObjectURL(blob), download: "explore.png" });
    anchor.click();
    URL.revokeObjectURL(anchor.href);
  }

  async copyLink() {
    try {
      await navigator.clipboard.writeText(location.href);
      this.say("The address of this state is copied.");
    } catch {
      this.say("The address of this state is in the address bar.");
    }
  }
}

/** Show the page in an element; returns a promise of the first picture. */
function mount(root, facts, link) {
  return new Page(root, facts, link).render();
}
