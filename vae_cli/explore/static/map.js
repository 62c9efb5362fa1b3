// The map: test items in the plane of the two principal directions of their latents.

const HIT_RADIUS = 12; // pixels; a click this close to a test item selects it

class LatentMap {
  /** A map of `count` latents on a canvas. */
  constructor(canvas, facts, latents, count) {
    this.canvas = canvas;
    this.colours = facts.colours;
    this.labels = floats(facts.labels);
    this.axes = floats(facts.axes);
    this.center = floats(facts.center);
    this.points = Array.from({ length: count }, (_, index) => this.project(latents(index)));
    const ends = (axis) => {
      const along = this.points.map((point) => point[axis]).sort((x, y) => x - y);
      return count ? [along[0], along.at(-1)].map((x) => 1.06 * x) : [-3, 3];
    };
    this.edges = [ends(0), ends(1)];
    this.backdrop = null;
  }

  /** The coordinates of a latent in the plane. */
  project(z) {
    const dims = z.length;
    return [0, 1].map((axis) => z.reduce(
      (sum, value, dim) => sum + (value - this.center[dim]) * this.axes[axis * dims + dim], 0));
  }

  /** The latent at a position on the canvas. */
  at(x, y) {
    const [[left, right], [low, high]] = this.edges, { clientWidth, clientHeight } = this.canvas;
    const u = left + x / clientWidth * (right - left), v = high - y / clientHeight * (high - low);
    const dims = this.center.length;
    return this.center.map((value, dim) => value + u * this.axes[dim] + v * this.axes[dims + dim]);
  }

  toPixels([x, y]) {
    const [[left, right], [low, high]] = this.edges, { clientWidth, clientHeight } = this.canvas;
    return [(x - left) / (right - left) * clientWidth, (high - y) / (high - low) * clientHeight];
  }

  /** The item near a position on the canvas, or -1. */
  nearest(x, y) {
    let best = -1, least = HIT_RADIUS;
    this.points.forEach((point, index) => {
      const [u, v] = this.toPixels(point), distance = Math.hypot(u - x, v - y);
      if (distance < least) [best, least] = [index, distance];
    });
    return best;
  }

  /** Paint all items, once for each size of the canvas. */
  paintItems() {
    const { canvas } = this, ratio = window.devicePixelRatio || 1;
    canvas.width = canvas.clientWidth * ratio;
    canvas.height = canvas.clientHeight * ratio;
    this.backdrop = Object.assign(document.createElement("canvas"),
      { width: canvas.width, height: canvas.height });
    const pen = this.backdrop.getContext("2d");
    pen.scale(ratio, ratio);
    pen.globalAlpha = 0.65;
    const radius = this.points.length > 1500 ? 1.6 : 2.5;
    this.points.forEach((point, index) => {
      pen.fillStyle = this.colours[this.labels[index] ?? 0];
      this.dot(pen, this.toPixels(point), radius);
    });
  }

  dot(pen, [x, y], radius) {
    pen.beginPath();
    pen.arc(x, y, radius, 0, 2 * Math.PI);
    pen.fill();
  }

  /** Paint the items, and rings with names at some latents. */
  paint(marks) {
    if (!this.canvas.clientWidth) return;
    if (!this.backdrop) this.paintItems();
    const pen = this.canvas.getContext("2d"), ratio = this.canvas.width / this.canvas.clientWidth;
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    pen.drawImage(this.backdrop, 0, 0);
    pen.scale(ratio, ratio);
    for (const [name, z] of marks.filter(([, z]) => z)) this.ring(pen, name, this.project(z));
  }

  ring(pen, name, point) {
    const [x, y] = this.toPixels(point);
    pen.fillStyle = "#000";
    this.dot(pen, [x, y], name ? 8 : 7);
    pen.fillStyle = "#fff";
    this.dot(pen, [x, y], name ? 7 : 5);
    pen.fillStyle = "#000";
    pen.font = "bold 10px system-ui, sans-serif";
    pen.textAlign = "center";
    pen.fillText(name, x, y + 3.5);
  }

  resized() {
    this.backdrop = null;
  }
}
