// The menus of what a conditional model is told: one for each column of a condition.
//
// A category has a menu of its texts, a number a field, and a date a field for dates. What is empty,
// or "(none)", is not known to the model, and is NaN. The latent stays as it is when they change.

const UNKNOWN = "(none)";

/** Add a menu for each column to the page. */
function addMenus(page) {
  const { facts } = page, ranges = floats(facts.ranges);
  facts.condition.forEach((column, place) => {
    const menu = menuOf(column, ranges.subarray(2 * place, 2 * place + 2), facts.may_be_unknown);
    const label = element("label", `${column.name} `, { className: "tell" });
    menu.input.dataset.place = place;
    menu.input.addEventListener("change", () => {
      const { told } = page.state.now, value = menu.read();
      if (Number.isNaN(value) && !facts.may_be_unknown) menu.write(told[place]);
      else page.state.go({ told: told.with(place, value) });
    });
    label.append(menu.input);
    page.find(".told .row").append(label);
    page.sliders.push(({ told }) => menu.write(told[place]));
  });
}

/** The element of a column, and how its value is read from it and written to it. */
function menuOf(column, range, mayBeUnknown) {
  if (column.kind === "category" || column.kind === "constant") return listOf(column, mayBeUnknown);
  const isDate = column.kind === "date", input = element("input", "", { type: isDate ? "date" : "number" });
  const write = (value) => {
    if (isDate) input.valueAsNumber = 1000 * value;
    else input.value = Number.isNaN(value) ? "" : Number(value.toPrecision(6));
  };
  if (!isDate) {
    [input.min, input.max] = Array.from(range, (end) => Number(end.toPrecision(6)));
    input.step = column.kind === "integer" ? 1 : "any";
    input.placeholder = UNKNOWN;
  }
  return { input, write, read: () => (isDate ? input.valueAsNumber / 1000 : input.valueAsNumber) };
}

/** A menu of the texts of a category. */
function listOf({ categories }, mayBeUnknown) {
  const input = element("select", "");
  if (mayBeUnknown) input.append(element("option", UNKNOWN, { value: -1 }));
  input.append(...categories.map((text, code) => element("option", text, { value: code })));
  return {
    input,
    write: (value) => { input.value = Number.isNaN(value) ? -1 : value; },
    read: () => (input.value < 0 ? NaN : Number(input.value)),
  };
}
