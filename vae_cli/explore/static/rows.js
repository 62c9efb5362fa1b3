// A row of a table: numbers and dates as they are written, and categories as bars.
//
// The bytes of a row are float64: a value per number, integer and date column, and then the
// probabilities of the texts of each category column, both in the order of the table. NaN is a
// missing value, and so are probabilities that are all 0.

const MAX_BARS = 5; // of a column; if it has more categories, the last bar is for all others
const SHOWN_DIGITS = 5; // of a number whose decimals differ from row to row

const twoDigits = (number) => String(number).padStart(2, "0");
const monthName = (date, month) => date.toLocaleString("en-US", { month, timeZone: "UTC" });

/** What the letters in the pattern of a date stand for (Python's strftime). */
const DATE_PARTS = {
  Y: (date) => String(date.getUTCFullYear()).padStart(4, "0"),
  y: (date) => twoDigits(date.getUTCFullYear() % 100),
  m: (date) => twoDigits(date.getUTCMonth() + 1),
  d: (date) => twoDigits(date.getUTCDate()),
  b: (date) => monthName(date, "short"),
  B: (date) => monthName(date, "long"),
  H: (date) => twoDigits(date.getUTCHours()),
  I: (date) => twoDigits(date.getUTCHours() % 12 || 12),
  p: (date) => (date.getUTCHours() < 12 ? "AM" : "PM"),
  M: (date) => twoDigits(date.getUTCMinutes()),
  S: (date) => twoDigits(date.getUTCSeconds()),
  "%": () => "%",
};

/** A date, given in seconds since 1970-01-01, in the pattern of its column. */
function spellDate(seconds, { date: pattern, decimals }) {
  const digits = pattern.includes("%f") ? decimals ?? 6 : 0, units = Math.round(seconds * 10 ** digits);
  const whole = Math.floor(units / 10 ** digits), date = new Date(1000 * whole);
  const fraction = String(units - whole * 10 ** digits).padStart(digits, "0");
  return (pattern || "%Y-%m-%d %H:%M:%S")
    .replace(/%(.)/g, (_, letter) => (letter === "f" ? fraction : DATE_PARTS[letter](date)));
}

/** A number as the cells of its column are written. */
function spellNumber(value, { kind, format }, decimalSign) {
  const { prefix, suffix, thousands } = format, least = kind === "integer" ? 0 : format.min_decimals;
  const decimals = kind === "integer" ? 0 : format.decimals, size = Math.abs(value);
  const digits = decimals === null ? String(Number(size.toPrecision(SHOWN_DIGITS))) : size.toFixed(decimals);
  const [whole, all = ""] = digits.split(".");
  const fraction = digits.includes("e") ? all : all.replace(/0+$/, "").padEnd(least, "0");
  const grouped = thousands ? whole.replace(/\B(?=(\d{3})+$)/g, thousands) : whole;
  const sign = value < 0 && /[1-9]/.test(digits) ? "-" : "";
  return `${sign}${prefix}${grouped}${fraction && decimalSign + fraction}${suffix}`;
}

/** The value of a column that is no category, as a text. */
function spellValue(value, column, decimalSign) {
  if (Number.isNaN(value)) return "missing";
  return column.kind === "date" ? spellDate(value, column.format) : spellNumber(value, column, decimalSign);
}

/** A probability in percent; one that is not quite 0 or 1 does not look like it. */
function spellShare(share) {
  if (share > 0 && share < 0.005) return "<1 %";
  if (share < 1 && share > 0.995) return ">99 %";
  return `${Math.round(100 * share)} %`;
}

/**
 * The bars of a category: [text, share, code] each. A few categories are all shown, in their order,
 * so that they stay in their places. Of many, the most probable ones are shown, the one with the
 * code `kept` in any case, and the sum of the others.
 */
function chooseBars(categories, shares, kept) {
  const all = categories.map((text, code) => [text, shares[code], code]);
  if (all.length <= MAX_BARS) return all;
  const sorted = all.toSorted((a, b) => b[1] - a[1]);
  const place = sorted.findIndex(([, , code]) => code === kept);
  if (place >= MAX_BARS - 1) sorted.splice(MAX_BARS - 2, 0, ...sorted.splice(place, 1));
  const others = sorted.splice(MAX_BARS - 1), rest = others.reduce((sum, [, share]) => sum + share, 0);
  return [...sorted, [`${others.length.toLocaleString("en")} others`, rest, -1]];
}

class RowView {
  /** Fill a table with the columns of rows; `show` and `compare` write into it. */
  constructor(table, { columns, decimal }) {
    this.table = table;
    this.decimal = decimal;
    this.original = null;
    this.shown = null;
    table.append(this.heading());
    this.cells = columns.filter(({ kind }) => kind !== "constant").map((column) => this.row(column));
    const constants = columns.filter(({ kind }) => kind === "constant")
      .map(({ name, categories }) => `${name} is ${categories[0]}`);
    if (!constants.length) return;
    const row = element("tr", "", { className: "constants" });
    row.append(element("td", `In every row, ${constants.join(", ")}.`, { colSpan: 3 }));
    table.append(row);
  }

  heading() {
    const row = element("tr", "", { className: "heading" });
    row.append(element("th", ""), element("td", "", { className: "was" }), element("td", "decoded"));
    return row;
  }

  /** A row of the table on the page, for a column of rows. */
  row(column) {
    const row = element("tr", "", { className: column.kind }), name = element("th", column.name);
    name.scope = "row";
    name.title = column.name;
    const was = element("td", "", { className: "was" }), now = element("td", "");
    row.append(name);
    this.table.append(row);
    const count = column.kind === "category" ? Math.min(column.categories.length, MAX_BARS) : 0;
    const bars = Array.from({ length: count }, () => {
      const bar = element("div", "", { className: "bar" });
      bar.append(element("span", ""), element("span", ""));
      return bar;
    });
    if (count) now.append(...bars);
    now.colSpan = 2;
    row.append(...(count ? [now] : [was, now]));
    return { column, was, now, bars };
  }

  /** Show a decoded row, given as bytes. */
  show(content) {
    this.shown = this.parse(content);
    this.update();
  }

  /** Show the row from which the latent was encoded beside it; null if there is none. */
  compare(content, name) {
    this.original = content && this.parse(content);
    this.table.querySelector(".heading .was").textContent = name;
    this.table.classList.toggle("compared", content !== null);
    for (const { now, bars } of this.cells) now.colSpan = content && !bars.length ? 1 : 2;
    this.update();
  }

  /** The value of each measured column, and the shares of the texts of each category. */
  parse(content) {
    const numbers = new Float64Array(content.slice().buffer);
    let value = 0, share = this.cells.filter(({ bars }) => !bars.length).length;
    return this.cells.map(({ column, bars }) => (bars.length
      ? numbers.subarray(share, share += column.categories.length) : numbers[value++]));
  }

  update() {
    this.cells.forEach(({ column, was, now, bars }, place) => {
      const shown = this.shown?.[place], original = this.original?.[place];
      if (bars.length) {
        if (shown) this.fill(bars, column.categories, shown, original);
        return;
      }
      if (shown !== undefined) now.textContent = spellValue(shown, column, this.decimal);
      was.textContent = original === undefined ? "" : spellValue(original, column, this.decimal);
    });
  }

  fill(bars, categories, shares, original) {
    const kept = original?.indexOf(1) ?? -1;
    chooseBars(categories, shares, kept).forEach(([text, share, code], place) => {
      const bar = bars[place];
      bar.title = text;
      bar.style.setProperty("--share", share);
      bar.classList.toggle("was", code === kept && kept >= 0);
      bar.firstChild.textContent = text;
      bar.lastChild.textContent = spellShare(share);
    });
  }
}
