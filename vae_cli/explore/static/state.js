// The state of the page: a start, what is added to it, the history, and the address.
//
//   start   the latent of a test item, a picture, a sample, a blend or a position on the map
//   offset  added to each dimension; shift is added to all of them
//   item    the number of the test item at the start, or -1; upload, the bytes of the user's picture
//   told    what a conditional model is told, a number for each column as its data have it
//   a, b    the two ends of a blend; blend, the position between them from 0 to 1

class State {
  /** Start with `initial`, or with the state in an address; `changed` is called after every change. */
  constructor(initial, hash, changed) {
    this.latentDim = initial.start.length;
    this.unknown = initial.told;
    this.now = this.committed = this.read(hash) ?? initial;
    this.past = [];
    this.changed = changed;
  }

  zeros() {
    return new Float32Array(this.latentDim);
  }

  /** start + offset + shift; each sum is rounded once, as in float32 arithmetic. */
  position() {
    const { start, offset, shift } = this.now;
    return start.map((value, dim) => Math.fround(value + offset[dim]) + Math.fround(shift));
  }

  move(change) {
    this.now = { ...this.now, ...change };
    this.changed();
  }

  /** Make the current state a step of the history, so that it can be undone. */
  commit() {
    if (this.now === this.committed) return;
    this.past.push(this.committed);
    this.committed = this.now;
    this.changed();
  }

  go(change) {
    this.now = { ...this.now, ...change };
    this.commit();
  }

  /** Go to another latent, with nothing added to it, and perhaps with another condition. */
  startFrom(start, item = -1, upload = null, told = this.now.told) {
    this.go({ start, offset: this.zeros(), shift: 0, item, upload, told });
  }

  undo() {
    if (!this.past.length) return;
    this.now = this.committed = this.past.pop();
    this.changed();
  }

  /** The last committed state, for the part of an address after the #. */
  address() {
    const { start, offset, shift, item, a, b, blend, told } = this.committed;
    const parts = { start: encoded(start), offset: encoded(offset), shift, item, blend };
    if (a) parts.a = encoded(a);
    if (b) parts.b = encoded(b);
    if (told.length) parts.told = encoded(told);
    return `#${new URLSearchParams(parts)}`;
  }

  /** The state in this part of an address, or null if there is none that fits this model. */
  read(hash) {
    const parts = new URLSearchParams(hash.slice(1));
    try {
      const vector = (name) => (parts.has(name) ? floats(parts.get(name)) : null);
      const number = (name) => Number(parts.get(name));
      const found = { start: vector("start"), offset: vector("offset"), shift: number("shift"),
        item: number("item"), upload: null, a: vector("a"), b: vector("b"), blend: number("blend"),
        told: vector("told") ?? this.unknown };
      const vectors = [found.start, found.offset, found.a ?? this.zeros(), found.b ?? this.zeros()];
      const sound = vectors.every((v) => v?.length === this.latentDim && v.every(Number.isFinite));
      const isTold = found.told.length === this.unknown.length;
      return sound && isTold && [found.shift, found.item, found.blend].every(Number.isFinite) ? found : null;
    } catch {
      return null; // the address is incomplete
    }
  }
}
