/* Draws the plots of a report from the data in the page. Without it every number is still in the tables. */
"use strict";
(() => {
  const DATA = JSON.parse(document.getElementById("plots").textContent);
  const DASHES = { solid: [], dash: [9, 5], dot: [2, 4], dashdot: [9, 4, 2, 4] };
  const ROOT = document.documentElement;
  document.getElementById("without-script").remove();
  const drawn = new Map();
  const colour = (name) => getComputedStyle(ROOT).getPropertyValue(name).trim();
  const font = (size) => `${size * uPlot.pxRatio}px system-ui, sans-serif`;

  /* Numbers as the tables write them. */
  const spaced = (text) => text.replace(/\B(?=(\d{3})+(?!\d))/g, " ");
  const digits = (value) => {
    const size = Math.abs(value);
    if (value === Math.round(value) && size < 1000) return value.toFixed(0);
    return size >= 100 ? spaced(value.toFixed(0)) : value.toFixed(size < 10 ? 2 : 1);
  };
  const scaled = (value, steps, last) => {
    for (const [unit, step] of steps) if (Math.abs(value) >= step * 0.9995) return [value / step, unit];
    return [value, last];
  };
  const UNITS = {
    ns: (v) => (v === 0 ? [0, "s"] : scaled(v, [["s", 1e9], ["ms", 1e6], ["µs", 1e3]], "ns")),
    bytes: (v) => scaled(v, [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]], "B"),
    per_s: (v) => [v, "/s"],
    count: (v) => [v, ""],
    percent: (v) => [v, "%"],
  };
  const shown = (value, unit, plain) => {
    if (value === null || value === undefined) return "-";
    const [number, name] = UNITS[unit](value);
    const text = plain ? spaced(String(Number(number.toPrecision(6)))) : digits(number);
    return name === "/s" ? text + name : name ? `${text} ${name}` : text;
  };
  const seconds = (s) => {
    if (s >= 120 && s % 60 === 0) return `${s / 60} min`;
    if (s >= 120) return `${Math.floor(s / 60)} min ${Number((s % 60).toPrecision(4))} s`;
    return `${Number(s.toPrecision(5))} s`;
  };
  const rate = (value) => shown(value, "per_s", true);
  const percent = (level) => (level === 0 ? "0 %" : `${Number((100 * (1 - 10 ** -level)).toPrecision(2 + Math.ceil(level)))} %`);
  const X = {
    time: { label: "at", shown: seconds },
    percentile: { label: "percentile", shown: percent },
    rate: { label: "rate", shown: rate },
  };

  /* Fills that differ without colour: each outcome has its own pattern on its own ground. */
  const STROKES = {
    ok: [],
    error: [[0, 8, 8, 0]],
    timeout: [[2, 2, 3, 2], [6, 6, 7, 6]],
    reset: [[0, 0, 8, 8]],
    refused: [[0, 4, 8, 4]],
    dropped: [[4, 0, 4, 8], [0, 4, 8, 4]],
    down: [[0, 8, 8, 0]],
  };
  const tile = (name, ground, ink) => {
    const side = 8 * uPlot.pxRatio;
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = side;
    const pen = canvas.getContext("2d");
    pen.scale(uPlot.pxRatio, uPlot.pxRatio);
    if (ground) {
      pen.fillStyle = ground;
      pen.fillRect(0, 0, 8, 8);
    }
    pen.strokeStyle = ink;
    pen.lineWidth = 1.6;
    for (const [x1, y1, x2, y2] of STROKES[name] || []) {
      for (const shift of x1 !== x2 && y1 !== y2 ? [-8, 0, 8] : [0]) {
        pen.beginPath();
        pen.moveTo(x1 + shift, y1);
        pen.lineTo(x2 + shift, y2);
        pen.stroke();
      }
    }
    return canvas;
  };
  const pattern = (pen, name, ground, ink) => pen.createPattern(tile(name, ground, ink), "repeat");
  const outcome = (name) => [colour(`--outcome-${name}-ground`), colour(`--outcome-${name}`)];

  /* Ticks at round places: 1, 2 and 5 times powers of ten, or powers alone where there are many. */
  const logTicks = (low, high) => {
    const wide = Math.log10(high / low) > 3.2;
    const ticks = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
      for (const factor of wide ? [1] : [1, 2, 5]) {
        const tick = factor * 10 ** power;
        if (tick >= low * 0.999 && tick <= high * 1.001) ticks.push(tick);
      }
    }
    return ticks;
  };
  const roundDown = (value) => {
    const power = 10 ** Math.floor(Math.log10(value));
    return power * ([5, 2, 1].find((factor) => factor * power <= value * 1.0001) || 1);
  };
  const roundUp = (value) => {
    const power = 10 ** Math.floor(Math.log10(value));
    return power * [1, 2, 5, 10].find((factor) => factor * power >= value * 0.9999);
  };
  const TIME_STEPS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400];

  /* What happened, behind and above the lines. */
  const behind = (u, plot) => {
    const pen = u.ctx;
    const { left, top, width, height } = u.bbox;
    const at = (s) => Math.min(left + width, Math.max(left, u.valToPos(s, "x", true)));
    pen.save();
    for (const phase of DATA.phases) {
      const from = at(phase.from);
      const to = at(phase.to);
      if (!phase.measured && to > from) {
        pen.fillStyle = colour("--unmeasured");
        pen.fillRect(from, top, to - from, height);
      }
      if (from > left && from < left + width) {
        pen.fillStyle = colour("--line");
        pen.fillRect(from, top, uPlot.pxRatio, height);
      }
    }
    for (const span of DATA.spans) {
      const [place, down, begin, end] = span;
      if (plot.workload !== null && DATA.workloads[place] !== plot.workload) continue;
      const from = at(begin);
      const to = Math.max(at(end), from + 1);
      if (to <= left || from >= left + width) continue;
      pen.fillStyle = down ? pattern(pen, "down", colour("--down-ground"), colour("--down-ink")) : colour("--slow-ground");
      pen.fillRect(from, top, to - from, height);
    }
    pen.restore();
  };
  const band = (u, [from, to]) => {
    const { left, top, width, height } = u.bbox;
    const at = (x) => Math.min(left + width, Math.max(left, u.valToPos(x, "x", true)));
    u.ctx.save();
    u.ctx.fillStyle = colour("--slow-ground");
    u.ctx.fillRect(at(from), top, Math.max(at(to) - at(from), 1), height);
    u.ctx.restore();
  };
  const above = (u) => {
    const pen = u.ctx;
    const ratio = uPlot.pxRatio;
    const { left, top, width, height } = u.bbox;
    pen.save();
    pen.textBaseline = "alphabetic";
    pen.font = font(11);
    pen.fillStyle = colour("--soft");
    pen.textAlign = "center";
    let end = -1;
    for (const phase of DATA.phases) {
      const from = Math.max(left, u.valToPos(phase.from, "x", true));
      const to = Math.min(left + width, u.valToPos(phase.to, "x", true));
      const room = to - from;
      const names = phase.measured ? [phase.name] : [`${phase.name}, not measured`, `(${phase.name})`];
      const text = names.find((name) => pen.measureText(name).width < room - 6 * ratio);
      if (text && from >= end) {
        pen.fillText(text, (from + to) / 2, top - (DATA.points.length ? 26 : 8) * ratio);
        end = to;
      }
    }
    let taken = left - 100;
    /* Many faults must not hide the lines that they are about; what followed each is seen from closer by. */
    const { min, max } = u.scales.x;
    const many = DATA.points.filter((point) => point.fault && point.at >= min && point.at <= max).length > 12;
    for (const point of DATA.points) {
      if (many && !point.fault) continue;
      const x = u.valToPos(point.at, "x", true);
      if (x < left - 1 || x > left + width + 1) continue;
      pen.strokeStyle = point.fault ? colour("--fail") : colour("--soft");
      pen.lineWidth = (point.fault ? 1.5 : 1) * ratio;
      pen.setLineDash(point.fault ? [] : [2 * ratio, 3 * ratio]);
      pen.globalAlpha = many ? 0.3 : 1;
      pen.beginPath();
      pen.moveTo(x, top - 6 * ratio);
      pen.lineTo(x, point.fault || DATA.points.length <= 16 ? top + height : top);
      pen.stroke();
      pen.globalAlpha = 1;
      const place = Math.max(x, taken + 11 * ratio);
      /* One that would stand far from its time is left to the table. */
      if (place - x > (point.fault ? 12 : 80) * ratio) continue;
      taken = place;
      pen.fillStyle = point.fault ? colour("--fail") : colour("--ink");
      pen.font = `${point.fault ? "bold " : ""}${font(12)}`;
      pen.fillText(point.sign, place, top - 9 * ratio);
    }
    pen.restore();
  };
  const levels = (u, plot) => {
    const pen = u.ctx;
    const ratio = uPlot.pxRatio;
    const { left, top, width, height } = u.bbox;
    pen.save();
    pen.font = font(11);
    pen.textAlign = "left";
    for (const limit of plot.limits) {
      const y = u.valToPos(limit.value, "y", true);
      if (y < top || y > top + height) continue;
      pen.strokeStyle = pen.fillStyle = colour(limit.warn ? "--warn" : "--fail");
      pen.setLineDash(limit.warn ? [3 * ratio, 3 * ratio] : [12 * ratio, 4 * ratio]);
      pen.lineWidth = ratio;
      pen.beginPath();
      pen.moveTo(left, y);
      pen.lineTo(left + width, y);
      pen.stroke();
      const room = pen.measureText(limit.label).width;
      pen.fillText(limit.label, left + width - room - 4 * ratio, y + (y - top > 18 * ratio ? -4 : 13) * ratio);
    }
    pen.restore();
  };
  const names = (u, plot) => {
    /* Each line says its name at its end, so that colour is not needed. */
    if (plot.stacked) return;
    const pen = u.ctx;
    const ratio = uPlot.pxRatio;
    const found = [];
    plot.lines.forEach((line, n) => {
      const series = u.series[n + 1];
      if (!series.show) return;
      const values = u.data[n + 1];
      let last = values.length - 1;
      while (last >= 0 && (values[last] == null || u.data[0][last] > u.scales.x.max)) last--;
      if (last >= 0) found.push({ y: u.valToPos(values[last], "y", true), text: line.short || line.label, tone: line.tone });
    });
    found.sort((a, b) => a.y - b.y);
    pen.save();
    pen.font = font(11);
    pen.textAlign = "left";
    let free = -Infinity;
    for (const one of found) {
      const y = Math.max(one.y + 4 * ratio, free);
      free = y + 13 * ratio;
      pen.fillStyle = colour(`--tone-${one.tone}`);
      pen.fillText(one.text, u.bbox.left + u.bbox.width + 5 * ratio, y);
    }
    pen.restore();
  };

  const stacked = (lines) => {
    /* From the bottom up; drawn from the top down, so that each covers what is below it. */
    const sums = [];
    let below = lines[0].values.map(() => 0);
    for (const line of lines) {
      below = line.values.map((value, n) => (value === null ? null : (below[n] || 0) + value));
      sums.push(below);
    }
    return sums;
  };

  const options = (plot, host) => {
    const x = DATA.axes[plot.x];
    const time = plot.axis === "time";
    const atX = X[plot.axis];
    const lines = plot.stacked ? plot.lines.slice().reverse() : plot.lines;
    const sums = plot.stacked ? stacked(plot.lines).reverse() : null;
    const columns = lines.map((line, n) => {
      if (sums) return sums[n];
      if (plot.log) return line.values.map((value) => (value === null ? null : Math.max(1, value)));
      return plot.joined ? line.values.map((value) => (value === null ? undefined : value)) : line.values;
    });
    const room = plot.stacked ? 12 : 14 + Math.max(...plot.lines.map((line) => line.label.length)) * 6.2;
    const values = columns.flat().filter((value) => value != null).concat(plot.limits.map((limit) => limit.value));
    const low = values.length ? Math.min(...values) : 1;
    const high = values.length ? Math.max(...values) : 2;
    const range = () => {
      if (plot.log) return [roundDown(low), Math.max(roundUp(high), roundDown(low) * 10)];
      const least = plot.floor === null ? low - Math.max((high - low) * 0.1, high * 0.01) : plot.floor;
      return [Math.max(0, least), high > least ? high + (high - least) * 0.08 : least + 1];
    };
    const axis = { stroke: () => colour("--soft"), grid: { stroke: () => colour("--grid"), width: 1 }, ticks: { stroke: () => colour("--line"), width: 1 }, font: "12px system-ui, sans-serif" };
    const levelsOfNines = () => {
      const ticks = [0, Math.log10(2)];
      for (let nines = 1; nines <= x[x.length - 1] + 0.01; nines++) ticks.push(nines);
      return ticks;
    };
    const narrow = host.clientWidth < 520;
    return [
      {
        width: host.clientWidth,
        height: (plot.tall ? 300 : 230) - (narrow ? 20 : 0),
        padding: [time ? (DATA.points.length ? 42 : 24) : 12, Math.min(room, narrow ? 78 : 190), 0, 0],
        scales: { x: { time: false }, y: { distr: plot.log ? 3 : 1, range } },
        axes: [
          time
            ? { ...axis, incrs: TIME_STEPS, space: narrow ? 60 : 70, values: (u, ticks) => ticks.map(seconds) }
            : plot.axis === "rate"
            ? { ...axis, space: narrow ? 60 : 80, values: (u, ticks) => ticks.map(rate) }
            : { ...axis, splits: levelsOfNines, values: (u, ticks) => ticks.map((tick) => (narrow && tick > 0 && tick < 1 ? "" : percent(tick))) },
          {
            ...axis,
            size: (u, ticks) => 20 + 7.2 * Math.max(4, ...(ticks || []).map((tick) => (tick || "").length)),
            ...(plot.log ? { splits: (u, n, min, max) => logTicks(min, max), filter: (u, ticks) => ticks } : {}),
            values: (u, ticks) => ticks.map((tick) => shown(tick, plot.unit, true)),
          },
        ],
        series: [
          { label: atX.label, value: (u, v) => (v == null ? "-" : atX.shown(v)) },
          ...lines.map((line, n) => ({
            label: line.label,
            width: plot.stacked ? 1 : line.width,
            stroke: () => (plot.stacked ? outcome(line.pattern)[1] : colour(`--tone-${line.tone}`)),
            fill: plot.stacked ? (u) => pattern(u.ctx, line.pattern, ...outcome(line.pattern)) : undefined,
            dash: DASHES[line.dash].length ? DASHES[line.dash] : undefined,
            paths: line.stepped ? uPlot.paths.stepped({ align: 1 }) : undefined,
            points: line.stepped || plot.axis === "percentile" ? { show: false } : { size: 4 },
            value: (u, v, s, index) => (index == null ? "-" : shown(line.values[index], plot.unit)),
          })),
        ],
        cursor: { drag: { x: true, y: false }, points: { size: 7 }, ...(time ? { sync: { key: "time", setSeries: false, scales: ["x", null] } } : {}) },
        legend: { markers: { dash: (u, n) => (n && lines[n - 1].dash !== "solid" ? (lines[n - 1].dash === "dot" ? "dotted" : "dashed") : "solid"), width: 2 } },
        hooks: {
          drawClear: time ? [(u) => behind(u, plot)] : plot.band ? [(u) => band(u, plot.band)] : [],
          draw: [...(time ? [above] : []), (u) => levels(u, plot), (u) => names(u, plot)],
        },
      },
      [x, ...columns],
    ];
  };

  const legend = (u, plot, host) => {
    host.classList.toggle("stacked", plot.stacked);
    u.root.querySelectorAll(".u-legend .u-series").forEach((row, n) => {
      const marker = row.querySelector(".u-marker");
      if (n === 0) return;
      const line = plot.stacked ? plot.lines[plot.lines.length - n] : null;
      if (line && marker) {
        const swatch = tile(line.pattern, ...outcome(line.pattern));
        swatch.className = "swatch";
        marker.replaceWith(swatch);
        return;
      }
      const head = row.querySelector("th");
      head.tabIndex = 0;
      head.setAttribute("role", "button");
      head.setAttribute("aria-pressed", "true");
      head.title = "Show or hide this line";
      head.addEventListener("click", () => head.setAttribute("aria-pressed", String(u.series[n].show)));
      head.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") {
          event.preventDefault();
          head.click();
        }
      });
    });
  };

  const keys = (u, plot, host) => {
    const said = document.createElement("output");
    said.className = "unseen";
    said.setAttribute("aria-live", "polite");
    host.append(said);
    let index = 0;
    const whole = () => u.setScale("x", { min: u.data[0][0], max: u.data[0][u.data[0].length - 1] });
    host.onkeydown = (event) => {
      if (event.target !== host) return;
      const last = u.data[0].length - 1;
      const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -last, End: last }[event.key];
      if (event.key === "Escape") return whole();
      if (step === undefined) return;
      event.preventDefault();
      index = Math.min(last, Math.max(0, index + step));
      u.setCursor({ left: u.valToPos(u.data[0][index], "x"), top: 10 });
      const where = X[plot.axis].shown(u.data[0][index]);
      said.textContent = `${where}: ${plot.lines.map((line) => `${line.label} ${shown(line.values[index], plot.unit)}`).join(", ")}`;
    };
  };

  /* Every plot over time spans the whole run, so that they can be read one below the other. */
  const padded = new Set();
  for (const plot of Object.values(DATA.plots)) {
    const x = DATA.axes[plot.x];
    if (plot.axis !== "time" || !x.length) continue;
    const before = x[0] > DATA.from && !padded.has(x);
    const after = x[x.length - 1] < DATA.to && !padded.has(x);
    plot.edges = padded.has(x) ? Object.values(DATA.plots).find((one) => one.x === plot.x && one.edges).edges : [before, after];
    padded.add(x);
    if (before) x.unshift(DATA.from);
    if (after) x.push(DATA.to);
    for (const line of plot.lines) line.values = [...(plot.edges[0] ? [null] : []), ...line.values, ...(plot.edges[1] ? [null] : [])];
  }

  /* Not in a part that is closed: it is drawn when that is opened. */
  const isSeen = (host) => host.clientWidth && (!host.checkVisibility || host.checkVisibility());
  const draw = (host) => {
    const plot = DATA.plots[host.dataset.plot];
    if (!plot || !isSeen(host)) return;
    const old = drawn.get(host);
    if (old) old.destroy();
    host.replaceChildren();
    const [how, values] = options(plot, host);
    const u = new uPlot(how, values, host);
    drawn.set(host, u);
    legend(u, plot, host);
    keys(u, plot, host);
    host.dataset.width = host.clientWidth;
  };

  const hosts = [...document.querySelectorAll("[data-plot]")];
  const drawAll = () => hosts.forEach(draw);
  const waiting = hosts.slice();
  const next = () => {
    const until = performance.now() + 30;
    while (waiting.length && performance.now() < until) {
      const host = waiting.shift();
      if (!drawn.has(host)) draw(host);
    }
    if (waiting.length) setTimeout(next);
    else ROOT.dataset.drawn = "yes";
  };
  next();
  document.addEventListener("toggle", (event) => {
    event.target.querySelectorAll("[data-plot]").forEach((host) => drawn.has(host) || draw(host));
  }, true);

  let resized = 0;
  addEventListener("resize", () => {
    clearTimeout(resized);
    resized = setTimeout(() => hosts.forEach((host) => Number(host.dataset.width) !== host.clientWidth && draw(host)), 120);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);

  /* Paper is white and as wide as it is, and nobody can open anything on it. */
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    opened.forEach((one) => (one.open = true));
    ROOT.classList.add("paper");
    drawAll();
  });
  addEventListener("afterprint", () => {
    opened.forEach((one) => (one.open = false));
    ROOT.classList.remove("paper");
    drawAll();
  });
})();
