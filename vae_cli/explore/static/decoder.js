// The link to a decoder in the page: the layers of the model, or tiles that were decoded before.

/** Numbers of 2, 4 or 8 bytes. They were deflated with all high bytes and all low bytes grouped. */
async function unpack(text, width) {
  const stream = new Blob([bytes(text)]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  const planes = new Uint8Array(await new Response(stream).arrayBuffer());
  const count = planes.length / width;
  const regrouped = new Uint8Array(planes.length);
  for (let i = 0; i < count; i++) {
    for (let byte = 0; byte < width; byte++) regrouped[i * width + byte] = planes[byte * count + i];
  }
  if (width === 8) return new Float64Array(regrouped.buffer);
  return width === 4 ? new Float32Array(regrouped.buffer)
    : Float32Array.from(new Uint16Array(regrouped.buffer), half);
}

/** The value of a float16's bits (IEEE 754 binary16). */
function half(bits) {
  const sign = bits >> 15 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const sigmoid = (value) => 1 / (1 + Math.exp(-value));

/** The distribution function of N(0, 1), to 7 digits (Abramowitz and Stegun, 7.1.26). */
function normalCDF(value) {
  const x = Math.abs(value) / Math.SQRT2, t = 1 / (1 + 0.3275911 * x);
  const polynomial = [1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592]
    .reduce((sum, factor) => (sum + factor) * t, 0);
  const tail = polynomial * Math.exp(-x * x) / 2;
  return value < 0 ? tail : 1 - tail;
}

/** Each operation takes values `x` of shape [C, H, W] or [N], and returns new values and their shape. */
const OPERATIONS = {
  linear(x, shape, take, [width_in, width_out]) {
    const weight = take(width_in * width_out), bias = take(width_out);
    const y = bias.slice();
    for (let o = 0; o < width_out; o++) {
      let sum = 0;
      for (let i = 0; i < width_in; i++) sum += weight[o * width_in + i] * x[i];
      y[o] += sum;
    }
    return [y, [width_out]];
  },
  conv(x, [, height, width], take, [width_in, width_out]) {
    const weight = take(width_in * width_out * 9), bias = take(width_out);
    const area = height * width, y = new Float32Array(width_out * area);
    for (let o = 0; o < width_out; o++) y.fill(bias[o], o * area, (o + 1) * area);
    for (let o = 0; o < width_out; o++) {
      for (let i = 0; i < width_in; i++) {
        for (let tap = 0; tap < 9; tap++) {
          const w = weight[(o * width_in + i) * 9 + tap], right = tap % 3 - 1;
          const down = Math.floor(tap / 3) - 1;
          const first = Math.max(0, -right), last = Math.min(width, width - right);
          for (let row = Math.max(0, -down); row < Math.min(height, height - down); row++) {
            const to = o * area + row * width, from = i * area + (row + down) * width + right;
            for (let column = first; column < last; column++) y[to + column] += w * x[from + column];
          }
        }
      }
    }
    return [y, [width_out, height, width]];
  },
  norm(x, [channels, height, width], take, [groups]) {
    const weight = take(channels), bias = take(channels);
    const area = height * width, size = channels / groups * area, y = new Float32Array(x.length);
    for (let group = 0; group < groups; group++) {
      const part = x.subarray(group * size, (group + 1) * size);
      const mean = part.reduce((sum, value) => sum + value, 0) / size;
      const variance = part.reduce((sum, value) => sum + (value - mean) ** 2, 0) / size;
      const scale = 1 / Math.sqrt(variance + 1e-5);
      part.forEach((value, i) => {
        const channel = Math.floor((group * size + i) / area);
        y[group * size + i] = (value - mean) * scale * weight[channel] + bias[channel];
      });
    }
    return [y, [channels, height, width]];
  },
  resize(x, [channels, height, width], take, [tall, wide]) {
    const y = new Float32Array(channels * tall * wide);
    const from = (to, length, old) => Math.floor((to + 0.5) * old / length);
    for (let i = 0; i < y.length; i++) {
      const channel = Math.floor(i / (tall * wide)), row = Math.floor(i / wide) % tall;
      y[i] = x[(channel * height + from(row, tall, height)) * width + from(i % wide, wide, width)];
    }
    return [y, [channels, tall, wide]];
  },
  view: (x, shape, take, sizes) => [x, sizes],
  relu: (x, shape) => [x.map((value) => Math.max(0, value)), shape],
  tanh: (x, shape) => [x.map(Math.tanh), shape],
  silu: (x, shape) => [x.map((value) => value * sigmoid(value)), shape],
  gelu: (x, shape) => [x.map((value) => value * normalCDF(value)), shape],
  sigmoid: (x, shape) => [x.map(sigmoid), shape],
  gate(x) {
    const width = x.length / 2;
    return [x.subarray(0, width).map((value, i) => value * sigmoid(x[width + i])), [width]];
  },
  /** The mean of a mixture of logistics, from logits, locations and scales [3, components, C, H, W]. */
  mixture(x, [channels, height, width], take, [components]) {
    const count = channels * height * width / (3 * components), y = new Float32Array(count);
    for (let i = 0; i < count; i++) {
      let total = 0, sum = 0, highest = -Infinity;
      for (let m = 0; m < components; m++) highest = Math.max(highest, x[m * count + i]);
      for (let m = 0; m < components; m++) {
        const weight = Math.exp(x[m * count + i] - highest);
        const spread = components > 1 ? 0.8 * m / (components - 1) - 0.4 : -0.4;
        total += weight;
        sum += weight * (0.5 + spread + x[(components + m) * count + i]);
      }
      y[i] = Math.min(1, Math.max(0, sum / total));
    }
    return [y, [channels / (3 * components), height, width]];
  },
  /** Probabilities from the logits of categories, which follow `count` values: some per column. */
  softmax(x, shape, take, [limit, count, ...sizes]) {
    const y = x.slice();
    let start = count;
    for (const size of sizes) {
      const part = y.subarray(start, start += size);
      part.forEach((logit, i) => { part[i] = Math.exp(Math.max(-limit, Math.min(limit, logit))); });
      const total = part.reduce((sum, value) => sum + value, 0);
      part.forEach((value, i) => { part[i] = value / total; });
    }
    return [y, shape];
  },
};

/** The ways from an output to the value of a column, from the numbers of the column. */
const SCALES = {
  standard: ([mean, std]) => (x) => mean + std * x,

  /** Straight lines between knots; values on a grid are rounded to one of its points. */
  scores(numbers) {
    const count = (numbers.length - 1) / 2, step = numbers[0];
    const values = numbers.subarray(1, 1 + count), scores = numbers.subarray(1 + count);
    const lowest = values[0] + step / 2, highest = values[count - 1] - step / 2;
    return (x) => {
      const found = scores.findIndex((score) => score >= x), at = found < 0 ? count - 1 : Math.max(1, found);
      const rise = scores[at] - scores[at - 1];
      const part = rise > 0 ? Math.max(0, Math.min(1, (x - scores[at - 1]) / rise)) : 0;
      const value = values[at - 1] + part * (values[at] - values[at - 1]);
      if (step === 0) return value;
      const point = Math.round(Math.min(highest, Math.max(lowest, value)) / step);
      return step < 1 ? point / Math.round(1 / step) : point * step;
    };
  },
};

/** Apply the operations of a decoder to a latent; the result has the shape of an item. */
function applyOperations(operations, weights, z) {
  let x = Float32Array.from(z), shape = [z.length], at = 0;
  const take = (count) => weights.subarray(at, at += count);
  const kept = [];
  for (const [name, ...sizes] of operations) {
    if (name === "keep") kept.push(x);
    else if (name === "add") {
      const before = kept.pop();
      x = x.map((value, i) => value + before[i]);
    } else [x, shape] = OPERATIONS[name](x, shape, take, sizes);
  }
  return x;
}

/** The value of a column on the line through the nearest known values, as the networks take it. */
function lookUp(values, scores, x) {
  const found = values.findIndex((value) => value >= x), last = values.length - 1;
  if (found <= 0) return scores[found < 0 ? last : 0];
  const part = (x - values[found - 1]) / (values[found] - values[found - 1]);
  return scores[found - 1] + part * (scores[found] - scores[found - 1]);
}

/**
 * What the networks take for what the model is told, a number for each column with NaN for none:
 * the measured values, the categories as 0 and 1, and which columns are not known.
 */
function encodeTold(told, { measured, categories, learned }) {
  const values = measured.map(({ place, values, scores }) => (
    Number.isNaN(told[place]) ? 0 : lookUp(floats(values), floats(scores), told[place])));
  const chosen = categories.flatMap(({ place, size }) => (
    Array.from({ length: size }, (_, code) => Number(told[place] === code))));
  return [...values, ...chosen, ...learned.map((place) => Number(Number.isNaN(told[place])))];
}

/** The function from a latent to an image (C, H, W) in [0, 1], or to a row as in rows.js. */
async function buildDecoder({ operations, width, weights, scales, numbers, condition }) {
  const values = await unpack(weights, width), exact = await unpack(numbers, 8);
  let at = 0;
  const scaled = scales.map(([name, count]) => SCALES[name](exact.subarray(at, at += count)));
  return (z, told) => {
    const inputs = condition ? [...z, ...encodeTold(told, condition)] : z;
    const x = applyOperations(operations, values, inputs);
    if (!scaled.length) return x;
    return Float64Array.from(x, (output, i) => (i < scaled.length ? scaled[i](output) : output));
  };
}

/** Values (C, H, W) in [0, 1] as bytes (H, W, C), or those of a row as the bytes of float64. */
function toBytes(values, [channels, height, width]) {
  if (!height) return new Uint8Array(Float64Array.from(values).buffer);
  const area = height * width, pixels = new Uint8Array(values.length);
  for (let i = 0; i < values.length; i++) {
    pixels[i % area * channels + Math.floor(i / area)] = Math.round(255 * values[i]);
  }
  return pixels;
}

async function layers(decoder, shape) {
  const decode = await buildDecoder(decoder);
  return async (z, told) => toBytes(decode(z, told), shape);
}

async function tiles({ columns, edge, image }, [channels, height, width]) {
  const sheet = new Image();
  sheet.src = image;
  await sheet.decode();
  const canvas = Object.assign(document.createElement("canvas"),
    { width: sheet.width, height: sheet.height });
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.drawImage(sheet, 0, 0);
  const nearestTile = (value, low, high) =>
    Math.max(0, Math.min(columns - 1, Math.round((value - low) / (high - low) * (columns - 1))));
  return async ([x, y]) => {
    const column = nearestTile(x, edge[0], edge[1]), row = nearestTile(y, edge[2], edge[3]);
    const { data } = pen.getImageData(column * width, row * height, width, height);
    const of = (channel) => (channels < 3 ? [0, 3] : [0, 1, 2, 3])[channel];
    return Uint8Array.from({ length: channels * height * width },
      (_, i) => data[4 * Math.floor(i / channels) + of(i % channels)]);
  };
}

const facts = JSON.parse(document.getElementById("facts").textContent);
const decode = await (facts.tiles ? tiles(facts.tiles, facts.shape) : layers(facts.decoder, facts.shape));
await mount(document.body, facts, { address: true, decode, encode: null, original: async () => null });
