// Where the page is: a start and what is added to it; how it got there; and its address.
//
//   start   the latent of a test item, a picture, a draw, a blend or a place on the map
//   offset  added to each dimension; shift, to all of them
//   item    the number of the test item at the start, or -1; upload, the bytes of a person's picture
//   a, b    the two latents that a blend goes between; blend, how far it has gone

class State {
  /** Begins at `begin`, or where an address says; `changed` is called after every move. */
  constructor(begin, hash, changed) {
    this.depth = begin.start.length;
    this.now = this.committed = this.read(hash) ?? begin;
    this.past = [];
    this.changed = changed;
  }

  zeros() {
    return new Float32Array(this.depth);
  }

  /** start + offset + shift, each sum rounded once, as float32 arithmetic does. */
  position() {
    const { start, offset, shift } = this.now;
    return start.map((value, dim) => Math.fround(value + offset[dim]) + Math.fround(shift));
  }

  move(change) {
    this.now = { ...this.now, ...change };
    this.changed();
  }

  /** What was moved to is a state of its own, and can be undone. */
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

  /** To another latent, with nothing added to it. */
  startFrom(start, item = -1, upload = null) {
    this.go({ start, offset: this.zeros(), shift: 0, item, upload });
  }

  undo() {
    if (!this.past.length) return;
    this.now = this.committed = this.past.pop();
    this.changed();
  }

  /** What was committed last, for the part of an address behind its #. */
  address() {
    const { start, offset, shift, item, a, b, blend } = this.committed;
    const parts = { start: encoded(start), offset: encoded(offset), shift, item, blend };
    if (a) parts.a = encoded(a);
    if (b) parts.b = encoded(b);
    return `#${new URLSearchParams(parts)}`;
  }

  /** The state in such a part, or null where there is none that fits this model. */
  read(hash) {
    const parts = new URLSearchParams(hash.slice(1));
    try {
      const vector = (name) => (parts.has(name) ? floats(parts.get(name)) : null);
      const number = (name) => Number(parts.get(name));
      const found = { start: vector("start"), offset: vector("offset"), shift: number("shift"),
        item: number("item"), upload: null, a: vector("a"), b: vector("b"), blend: number("blend") };
      const vectors = [found.start, found.offset, found.a ?? this.zeros(), found.b ?? this.zeros()];
      const sound = vectors.every((v) => v?.length === this.depth && v.every(Number.isFinite));
      return sound && [found.shift, found.item, found.blend].every(Number.isFinite) ? found : null;
    } catch {
      return null; // an address that someone cut short
    }
  }
}
