// Arithmetic with latents, and float32 numbers as base64 text.

const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const floats = (text) => new Float32Array(bytes(text).buffer);
const encoded = (values) => btoa(String.fromCharCode(...new Uint8Array(values.buffer)));

/** One sample from the standard normal distribution (Box and Muller, 1958). */
function sampleNormal() {
  return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
}

/** A point on the great circle between two latents, or on the line if both are on one through 0. */
function slerp(a, b, t) {
  const dot = (u, v) => u.reduce((sum, value, dim) => sum + value * v[dim], 0);
  const cosine = dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
  const angle = Math.acos(Math.max(-1, Math.min(1, cosine)));
  const bent = Math.sin(angle) > 1e-3;
  const weight = (part) => (bent ? Math.sin(part * angle) / Math.sin(angle) : part);
  return a.map((value, dim) => weight(1 - t) * value + weight(t) * b[dim]);
}
