// Draws the charts of a report as SVG from the rows of the marts that the page carries. No library, no network.
"use strict";
const DATA = JSON.parse(document.getElementById("data").textContent);
const STYLE = new Map(DATA.styles.map(style => [style.design, style]));
const NS = "http://www.w3.org/2000/svg";
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const NO_STYLE = {color: "#8c8c8c", symbol: "circle", dash: ""};

function make(name, attributes = {}, parent = null, text = null) {
  const svg = ["svg", "g", "path", "line", "rect", "text", "title"].includes(name);
  const node = svg ? document.createElementNS(NS, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== null) node.textContent = text;
  if (parent) parent.append(node);
  return node;
}

// ---- figures as text, as analysis/units.py writes them ----
function plain(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (Number.isInteger(value) || size >= 100) return Math.round(value).toLocaleString("en-US");
  if (size < 1e-3) return value.toExponential(0);
  return String(Number(value.toPrecision(3)));
}
function scaleOf(value, unit) {
  const steps = DATA.scales[unit] || [[1, unit]];
  return [...steps].reverse().find(step => Math.abs(value) >= step[0]) || steps[0];
}
function say(value, unit, half = null) {
  if (value === null || value === undefined || !isFinite(value)) return "-";
  const [size, name] = scaleOf(value, unit);
  const pm = half === null || half === undefined ? "" : " ±" + (half / size < 1e-9 ? "0" : Number((half / size).toPrecision(2)).toLocaleString("en-US", {maximumSignificantDigits: 2}));
  return (plain(value / size) + pm + " " + name).trim();
}
const AXIS_WORDS = {cpus: v => `${plain(v)} CPUs`, batch: v => `batch ${plain(v)}`, churn_hz: v => `${plain(v)} Hz`, days: v => `day ${plain(v)}`};
const word = (axis, value, chart) => AXIS_WORDS[axis] ? AXIS_WORDS[axis](value) : (chart.labels[value] || String(value));

// ---- scales ----
const LOG_AXES = new Set(["cpus", "batch", "churn_hz"]);
const SPREAD = 30;  // values that differ by more than this factor want a logarithmic axis
const spread = values => { const positive = values.filter(value => value > 0); return positive.length > 0 && Math.max(...positive) > SPREAD * Math.min(...positive); };
function axisOf(values, from, to, logWanted) {
  const all = values.filter(value => value !== null && isFinite(value)), positive = all.filter(value => value > 0);
  const log = positive.length > 0 && logWanted;
  let low = log ? Math.min(...positive) : Math.min(0, ...all), high = Math.max(...(log ? positive : all), log ? 1e-9 : 0);
  if (low === high) [low, high] = log ? [low / 2, high * 2] : [low, high || 1];
  const at = log ? Math.log : value => value, a = at(low), b = at(high);
  const place = value => from + (to - from) * (at(log ? Math.max(value, low) : value) - a) / (b - a);
  return {low, high, log, place};
}
function ticks(axis, values, unit) {
  if (values) return values;
  if (axis.log) {
    const steps = [], decades = Math.log10(axis.high / axis.low), each = decades > 2 ? [1] : [1, 2, 5];
    if (unit === "B") for (let power = 0; power <= 60; power += Math.max(1, Math.ceil(decades * 3.33 / 6))) steps.push(2 ** power);
    else for (let power = Math.floor(Math.log10(axis.low)); power <= Math.ceil(Math.log10(axis.high)); power++) for (const digit of each) steps.push(digit * 10 ** power);
    const inside = steps.filter(value => value >= axis.low * 0.999 && value <= axis.high * 1.001);
    return inside.length > 1 ? inside : [axis.low, axis.high];
  }
  const [size] = scaleOf(axis.high, unit), span = (axis.high - axis.low) / size;
  const rough = span / 5, power = 10 ** Math.floor(Math.log10(rough)), step = [1, 2, 5, 10].find(n => n * power >= rough) * power;
  const found = [];
  for (let n = Math.ceil(axis.low / size / step); n * step <= axis.high / size * 1.0001; n++) found.push(Number((n * step).toPrecision(12)) * size);
  return found;
}

// ---- marks ----
const SYMBOLS = {
  circle: "M5 0A5 5 0 1 1 -5 0A5 5 0 1 1 5 0Z", square: "M-4.4 -4.4H4.4V4.4H-4.4Z", triangle: "M0 -5.6L5.4 4.2H-5.4Z",
  down: "M0 5.6L5.4 -4.2H-5.4Z", diamond: "M0 -6.2L5 0L0 6.2L-5 0Z", plus: "M-1.8 -5.4H1.8V-1.8H5.4V1.8H1.8V5.4H-1.8V1.8H-5.4V-1.8H-1.8Z",
  cross: "M-5 -3L-3 -5L0 -2L3 -5L5 -3L2 0L5 3L3 5L0 2L-3 5L-5 3L-2 0Z", star: "M0 -6L1.6 -1.9L6 -1.9L2.4 .8L3.8 5L0 2.4L-3.8 5L-2.4 .8L-6 -1.9L-1.6 -1.9Z",
};
function mark(parent, x, y, style, hollow, size = 1) {
  return make("path", {d: SYMBOLS[style.symbol], transform: `translate(${x.toFixed(2)} ${y.toFixed(2)}) scale(${size})`, fill: hollow ? "var(--card)" : style.color, stroke: style.color, "stroke-width": 1.6, class: "mark"}, parent);
}
function thin(nodes, along) {  // hides labels that would touch the one before
  let end = -Infinity;
  const boxes = nodes.map(node => [node, node.getBoundingClientRect()]).sort((a, b) => a[1][along] - b[1][along]);
  const far = along === "left" ? "right" : "bottom";
  for (const [node, box] of boxes) if (box[along] < end + (along === "left" ? 8 : 2)) node.remove(); else end = box[far];
}

class View {
  constructor(figure, chart) {
    this.figure = figure; this.chart = chart; this.hidden = new Set(); this.cursor = -1;
    this.rows = chart.rows.map(row => Object.fromEntries(chart.columns.map((name, place) => [name, row[place]])));
    this.pick = Object.fromEntries(chart.menus.map(menu => [menu, this.nearest(menu)]));
    this.y = chart.y[0]; this.x = chart.x;
    const controls = make("div", {class: "controls"}, figure);
    if (chart.y.length > 1) this.select(controls, chart.kind === "scatter" ? "against" : "figure", chart.y, name => chart.labels[name], this.y, value => { this.y = value; });
    for (const menu of chart.menus) {
      const values = this.values(menu);
      if (values.length > 1) this.select(controls, menu === "churn_hz" ? "churn" : menu === "cpus" ? "CPUs" : menu, values, value => menu === "measure" ? chart.labels[value] || DATA.titles[value] || value : word(menu, value, chart), this.pick[menu], value => { this.pick[menu] = value; });
    }
    this.legend = make("div", {class: "legend"}, figure);
    this.plot = make("svg", {class: "plot", role: "img", tabindex: "0", "aria-label": `${chart.title}; arrow keys step through it, the table below has its figures`}, figure);
    this.tip = make("div", {class: "tip", hidden: "", role: "status"}, figure);
    const details = make("details", {}, figure);
    make("summary", {}, details, "Figures as a table");
    this.table = make("div", {class: "scroll", tabindex: "0", role: "region", "aria-label": `Figures of ${chart.title}`}, details);
    this.plot.addEventListener("pointermove", event => this.point(event));
    this.plot.addEventListener("pointerleave", () => this.step(-1));
    this.plot.addEventListener("blur", () => this.step(-1));
    this.plot.addEventListener("keydown", event => {
      const by = {ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1}[event.key];
      if (by) { event.preventDefault(); this.step(Math.min(Math.max(this.cursor + by, 0), this.stops.length - 1)); }
      if (event.key === "Escape") this.step(-1);
    });
  }
  values(column) {
    const seen = [...new Set(this.rows.map(row => row[column]))];
    return seen.sort((a, b) => typeof a === "number" ? a - b : String(a) < String(b) ? -1 : 1);
  }
  nearest(menu) {
    const there = this.values(menu), start = this.chart.start[menu];
    return there.includes(start) ? start : there.reduce((a, b) => Math.abs(b - start) < Math.abs(a - start) ? b : a);
  }
  select(parent, name, values, text, chosen, change) {
    const label = make("label", {}, parent, name + " "), menu = make("select", {}, label);
    values.forEach((value, place) => { const option = make("option", {value: place}, menu, text(value)); option.selected = value === chosen; });
    menu.addEventListener("change", () => { change(values[menu.value]); this.draw(); });
  }
  shown() { return this.rows.filter(row => this.chart.menus.every(menu => row[menu] === this.pick[menu])); }
  draw() {
    this.plot.replaceChildren(); this.legend.replaceChildren(); this.stops = []; this.cursor = -1; this.tip.hidden = true;
    this.width = Math.max(this.figure.clientWidth - 20, 260);
    const rows = this.shown();
    this[this.chart.kind](rows);
    this.tabulate(rows);
    this.guide = make("line", {class: "axis", "stroke-dasharray": "2 3", visibility: "hidden"}, this.plot);
  }
  designs(rows) { return DATA.styles.map(style => style.design).filter(name => rows.some(row => row.design === name)); }
  size(height) {
    this.height = height;
    this.plot.setAttribute("viewBox", `0 0 ${this.width} ${height}`);
    this.plot.setAttribute("height", height);
  }
  legendOf(names, text = name => name) {
    for (const name of names) {
      const style = STYLE.get(name) || NO_STYLE;
      const button = make("button", {type: "button", "aria-pressed": String(!this.hidden.has(name))}, this.legend);
      const key = make("svg", {width: 34, height: 14, viewBox: "-17 -7 34 14", "aria-hidden": "true"}, button);
      if (this.chart.kind === "lines") make("line", {x1: -17, x2: 17, y1: 0, y2: 0, stroke: style.color, "stroke-width": 2, "stroke-dasharray": style.dash}, key);
      mark(key, 0, 0, style, false).removeAttribute("class");
      make("span", {}, button, text(name));
      button.addEventListener("click", () => { this.hidden.has(name) ? this.hidden.delete(name) : this.hidden.add(name); this.draw(); this.legend.children[names.indexOf(name)].focus(); });
    }
  }
  frame(xs, ys, xUnit, yUnit, xLabel, yLabel, xTicks) {
    const top = 26, bottom = 46, right = 14, logY = this.x !== "days" && spread(ys), probe = axisOf(ys, 0, 1, logY), found = ticks(probe, null, yUnit).map(value => say(value, yUnit));
    const left = 12 + 7.2 * Math.max(3, ...found.map(text => text.length));
    this.size(Math.min(420, Math.max(300, this.width * 0.46)));
    const x = axisOf(xs, left + 8, this.width - right - 8, LOG_AXES.has(this.x) || (this.chart.kind === "scatter" && spread(xs))), y = axisOf(ys, this.height - bottom, top + 8, logY);
    const labels = [];
    for (const value of ticks(y, null, yUnit)) {
      make("line", {class: "grid", x1: left, x2: this.width - right, y1: y.place(value), y2: y.place(value)}, this.plot);
      labels.push(make("text", {class: "label", x: left - 6, y: y.place(value) + 4, "text-anchor": "end"}, this.plot, say(value, yUnit)));
    }
    thin(labels, "top");
    const below = [];
    for (const value of ticks(x, xTicks, xUnit)) {
      make("line", {class: "axis", x1: x.place(value), x2: x.place(value), y1: this.height - bottom, y2: this.height - bottom + 4}, this.plot);
      below.push(make("text", {class: "label", x: x.place(value), y: this.height - bottom + 17, "text-anchor": "middle"}, this.plot, xUnit === "B" || xUnit === "ns" ? say(value, xUnit) : plain(value)));
    }
    thin(below, "left");
    make("line", {class: "axis", x1: left, x2: this.width - right, y1: this.height - bottom, y2: this.height - bottom}, this.plot);
    make("text", {class: "label", x: this.width - right, y: this.height - 8, "text-anchor": "end"}, this.plot, xLabel + (x.log ? " (log)" : ""));
    make("text", {class: "label", x: 2, y: 14}, this.plot, yLabel + (y.log ? " (log)" : ""));
    return {x, y, left, right: this.width - right, top, bottom: this.height - bottom};
  }
  lines(rows) {
    const {chart, y} = this, low = row => row[y] - (row[y + "_pm"] || 0), high = row => row[y] + (row[y + "_pm"] || 0);
    const names = this.designs(rows), seen = rows.filter(row => !this.hidden.has(row.design) && row[y] !== null);
    this.legendOf(names);
    const xs = this.values(this.x), all = seen.length ? seen : rows;
    const box = this.frame(xs, all.flatMap(row => [row[y], high(row), low(row) > 0 ? low(row) : row[y]]), "1", chart.units[y], chart.labels[this.x], chart.labels[y], xs.length < 40 ? xs : null);
    for (const name of names.filter(name => !this.hidden.has(name))) {
      const style = STYLE.get(name) || NO_STYLE, line = seen.filter(row => row.design === name).sort((a, b) => a[this.x] - b[this.x]);
      const path = points => points.map(([a, b], place) => `${place ? "L" : "M"}${a.toFixed(2)} ${b.toFixed(2)}`).join("");
      const place = (row, value) => [box.x.place(row[this.x]), box.y.place(value)];
      if (line.some(row => row[y + "_pm"])) make("path", {class: "band", d: path([...line.map(row => place(row, high(row))), ...line.slice().reverse().map(row => place(row, Math.max(low(row), box.y.low)))]) + "Z", fill: style.color, opacity: 0.16}, this.plot);
      make("path", {class: "line", d: path(line.map(row => place(row, row[y]))), fill: "none", stroke: style.color, "stroke-width": 2, "stroke-dasharray": style.dash}, this.plot);
      const every = Math.ceil(line.length / 24);
      line.forEach((row, n) => { if (n % every === 0 || n === line.length - 1) mark(this.plot, ...place(row, row[y]), style, row.out_of_memory > 0, 0.85); });
    }
    this.stops = xs.map(value => ({x: box.x.place(value), top: box.top, bottom: box.bottom, lines: [word(this.x, value, chart), ...seen.filter(row => row[this.x] === value).sort((a, b) => b[y] - a[y]).map(row => `${row.design}: ${say(row[y], chart.units[y], row[y + "_pm"])}${row.out_of_memory > 0 ? ", out of memory" : ""}`)]}));
    if (seen.some(row => row.out_of_memory > 0)) make("span", {class: "item"}, this.legend, "hollow: the host ran out of memory");
  }
  bars(rows) {
    const {chart} = this, names = this.designs(rows), sums = new Map(names.map(name => [name, 0]));
    for (const row of rows) sums.set(row.design, sums.get(row.design) + row.bytes);
    const step = 44, top = 8, most = Math.max(1, ...sums.values()), left = 8, right = 90, [size, unit] = scaleOf(most, "B");
    this.size(top + step * names.length + 8);
    names.forEach((name, place) => {
      const y = top + step * place;
      let x = left;
      make("text", {x: left, y: y + 12}, this.plot, name);
      for (const row of rows.filter(row => row.design === name)) {
        const wide = (this.width - left - right) * row.bytes / most;
        const bar = make("rect", {class: "mark", x, y: y + 18, width: Math.max(wide, 0.4), height: 18, fill: chart.colors[row.component]}, this.plot);
        make("title", {}, bar, `${name}, ${row.component}: ${say(row.bytes, "B", row.bytes_pm)}`);
        x += wide;
      }
      make("text", {class: "label", x: x + 6, y: y + 32}, this.plot, say(sums.get(name), "B"));
      this.stops.push({y: y + 27, lines: [`${name}: ${say(sums.get(name), "B")}`, ...rows.filter(row => row.design === name).slice(0, 8).map(row => `${row.component}: ${say(row.bytes, "B", row.bytes_pm)}`)]});
    });
    const weight = new Map();
    for (const row of rows) weight.set(row.component, (weight.get(row.component) || 0) + row.bytes);
    const named = [...weight.keys()].sort((a, b) => weight.get(b) - weight.get(a)), other = "#999999";
    for (const name of named.filter(name => chart.colors[name] !== other)) this.key(chart.colors[name], name);
    const rest = named.filter(name => chart.colors[name] === other);
    if (rest.length) this.key(other, rest.length === 1 ? rest[0] : `${rest.length} others`);
  }
  key(color, text) {
    const item = make("span", {class: "item"}, this.legend);
    make("span", {class: "swatch", style: `background:${color}`}, item);
    make("span", {}, item, text);
  }
  map(rows) {
    const {chart} = this, xs = this.values("churn_hz"), ys = this.values("cpus"), left = 44, top = 6, bottom = 46;
    const names = DATA.styles.map(style => style.design).filter(name => this.rows.some(row => row.best_design === name || row.tied.includes(name)));
    const letter = new Map(names.map((name, place) => [name, LETTERS[place]]));
    for (const name of names) if (rows.some(row => row.best_design === name || row.tied.includes(name))) this.key((STYLE.get(name) || NO_STYLE).color, `${letter.get(name)} ${name}`);
    const wide = (this.width - left - 8) / xs.length, tall = Math.min(44, Math.max(28, 260 / ys.length));
    this.size(top + tall * ys.length + bottom);
    const below = xs.map((hz, place) => make("text", {class: "label", x: left + wide * (place + 0.5), y: top + tall * ys.length + 17, "text-anchor": "middle"}, this.plot, plain(hz)));
    thin(below, "left");
    make("text", {class: "label", x: this.width - 8, y: this.height - 8, "text-anchor": "end"}, this.plot, chart.labels.churn_hz);
    ys.forEach((cpus, line) => {
      const y = top + tall * line;
      make("text", {class: "label", x: left - 8, y: y + tall / 2 + 4, "text-anchor": "end"}, this.plot, plain(cpus));
      xs.forEach((hz, place) => {
        const row = rows.find(row => row.cpus === cpus && row.churn_hz === hz);
        if (!row) return;
        const won = names.filter(name => name === row.best_design || row.tied.includes(name)), part = (wide - 2) / won.length;
        const cell = make("g", {class: "mark"}, this.plot);
        won.forEach((name, n) => make("rect", {x: left + wide * place + 1 + part * n, y: y + 1, width: part, height: tall - 2, fill: (STYLE.get(name) || NO_STYLE).color, opacity: won.length > 1 ? 0.55 : 1}, cell));
        const text = won.map(name => letter.get(name)).join("");
        make("text", {x: left + wide * (place + 0.5), y: y + tall / 2 + 4, "text-anchor": "middle", style: `font-weight:600;fill:#111;font-size:${text.length * 9 > wide ? 9 : 12}px`}, cell, text.length * 7 > wide ? `${text.length}` : text);
        const behind = row.runner_up && row.margin !== null ? `next: ${row.runner_up}, ${plain(100 * row.margin)} % worse` : "";
        this.stops.push({x: left + wide * (place + 0.5), y: y + tall / 2, lines: [`${word("cpus", cpus)}, ${word("churn_hz", hz)}`, `${row.best_design}: ${say(row.best_value, DATA.units[row.measure], row.best_value_pm)}`, row.tied.length ? `not told apart: ${row.tied.join(", ")}` : behind].filter(Boolean)});
      });
    });
  }
  scatter(rows) {
    const {chart, x: xName, y: yName} = this, names = this.designs(rows), path = rows.some(row => "pareto" in row);
    this.legendOf(names);
    const seen = rows.filter(row => !this.hidden.has(row.design) && row[xName] !== null && row[yName] !== null), all = seen.length ? seen : rows;
    const ends = name => all.flatMap(row => [row[name] - (row[name + "_pm"] || 0), row[name], row[name] + (row[name + "_pm"] || 0)]).filter((value, place) => value > 0 || place % 3 === 1);
    const box = this.frame(ends(xName), ends(yName), chart.units[xName], chart.units[yName], chart.labels[xName], chart.labels[yName], null);
    for (const name of names.filter(name => !this.hidden.has(name))) {
      const style = STYLE.get(name) || NO_STYLE, here = seen.filter(row => row.design === name);
      if (path) make("path", {class: "line", d: here.map((row, n) => `${n ? "L" : "M"}${box.x.place(row[xName]).toFixed(2)} ${box.y.place(row[yName]).toFixed(2)}`).join(""), fill: "none", stroke: style.color, "stroke-width": 1.4, "stroke-dasharray": style.dash}, this.plot);
      for (const row of here) {
        const x = box.x.place(row[xName]), y = box.y.place(row[yName]), bar = (x1, x2, y1, y2) => make("line", {x1, x2, y1, y2, stroke: style.color, "stroke-width": 1.2, opacity: 0.7}, this.plot);
        if (row[xName + "_pm"]) bar(Math.max(box.left, box.x.place(row[xName] - row[xName + "_pm"])), Math.min(box.right, box.x.place(row[xName] + row[xName + "_pm"])), y, y);
        if (row[yName + "_pm"]) bar(x, x, Math.min(box.bottom, box.y.place(row[yName] - row[yName + "_pm"])), Math.max(box.top, box.y.place(row[yName] + row[yName + "_pm"])));
        mark(this.plot, x, y, style, path ? !row.pareto : row.dominated_by.length > 0, 1.1);
        const more = path ? [row.pareto ? "no other batch has both less" : "", row.enough ? "enough" : ""] : [row.dominated_by.length ? `beaten by ${row.dominated_by.join(", ")}` : "not beaten", say(row.ns_per_object, "ns", row.ns_per_object_pm) + " per object"];
        this.stops.push({x, y, lines: [path ? `${name}, batch ${row.batch}` : name, `${chart.labels[xName]}: ${say(row[xName], chart.units[xName], row[xName + "_pm"])}`, `${chart.labels[yName]}: ${say(row[yName], chart.units[yName], row[yName + "_pm"])}`, ...more, row.out_of_memory > 0 ? "the host ran out of memory" : ""].filter(Boolean)});
      }
    }
    this.stops.sort((a, b) => a.x - b.x);
  }
  tabulate(rows) {
    const {chart} = this, names = chart.columns.filter(name => !chart.menus.includes(name) && !name.endsWith("_pm") && rows.some(row => row[name] !== null));
    const table = make("table"), head = make("tr", {}, make("thead", {}, table)), body = make("tbody", {}, table);
    for (const name of names) make("th", {scope: "col"}, head, chart.labels[name] || name.replaceAll("_", " "));
    for (const row of rows) {
      const line = make("tr", {}, body);
      for (const name of names) {
        const value = row[name], isAxis = name in AXIS_WORDS;
        const unit = name === "best_value" ? DATA.units[row.measure] : chart.units[name] || "1";
        const text = Array.isArray(value) ? value.join(", ") || "-" : typeof value === "boolean" ? (value ? "yes" : "no") : typeof value === "number" ? (name === "margin" ? `${plain(100 * value)} %` : isAxis ? plain(value) : say(value, unit, row[name + "_pm"])) : value === null ? "-" : value;
        const cell = make("td", {"data-column": name}, line, text);
        if (typeof value === "number") cell.setAttribute("data-value", String(value));
      }
    }
    this.table.replaceChildren(table);
  }
  point(event) {
    if (!this.stops.length) return;
    const box = this.plot.getBoundingClientRect(), x = (event.clientX - box.left) * this.width / box.width, y = (event.clientY - box.top) * this.height / box.height;
    const far = stop => ("x" in stop ? (stop.x - x) ** 2 : 0) + ("y" in stop ? (stop.y - y) ** 2 : 0);
    this.step(this.stops.reduce((best, stop, place) => far(stop) < far(this.stops[best]) ? place : best, 0));
  }
  step(place) {
    this.cursor = place;
    const stop = this.stops[place];
    this.guide.setAttribute("visibility", stop && "bottom" in stop ? "visible" : "hidden");
    this.tip.hidden = !stop;
    if (!stop) return;
    if ("bottom" in stop) for (const [key, value] of [["x1", stop.x], ["x2", stop.x], ["y1", stop.top], ["y2", stop.bottom]]) this.guide.setAttribute(key, value);
    this.tip.replaceChildren();
    stop.lines.forEach((line, n) => make(n ? "div" : "strong", {}, this.tip, line));
    const across = this.plot.getBoundingClientRect().width / this.width, x = (stop.x ?? 24) * across, y = (stop.y ?? stop.top + 20) * across;
    const room = this.figure.clientWidth - this.tip.offsetWidth - 8;
    this.tip.style.left = `${Math.max(8, Math.min(x + 24, x + 24 > room ? x - this.tip.offsetWidth - 4 : room))}px`;
    this.tip.style.top = `${this.plot.offsetTop + y + 12}px`;
  }
}

const views = DATA.charts.map(chart => new View(document.getElementById(chart.id), chart));
const drawAll = () => views.forEach(view => view.draw());
let settled = 0, drawnAt = document.documentElement.clientWidth;
addEventListener("resize", () => {
  clearTimeout(settled);
  settled = setTimeout(() => { if (drawnAt !== document.documentElement.clientWidth) { drawnAt = document.documentElement.clientWidth; drawAll(); } }, 120);
});
drawAll();
document.documentElement.dataset.drawn = String(views.length);
