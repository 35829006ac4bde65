"use strict";
// Places the texts of holdfast/state on the page. Every text becomes a text node: nothing of it is read as HTML.

const main = document.getElementById("main");
const SHAPES = { PASS: "✔", WARN: "▲", INCONCLUSIVE: "?", FAIL: "✖", INVALID: "⊘" };
let shown = "";

if (window.top !== window.self) {
  document.documentElement.classList.add("framed");
}

function make(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value !== null && value !== undefined && value !== false) {
      node.setAttribute(name, value);
    }
  }
  for (const child of children.flat(3)) {
    if (child !== null && child !== undefined && child !== "") {
      node.append(child);
    }
  }
  return node;
}

function unbroken(text) {
  // A number such as 5 978 stays on one line.
  return text.replace(/(\d) (?=\d{3}(?!\d))/g, "$1\u00a0");
}

function badge(word) {
  const upper = word.toUpperCase();
  const kind = upper in SHAPES ? upper.toLowerCase() : "neutral";
  const shape = make("span", { class: "shape", "aria-hidden": "true" }, SHAPES[upper] || "•");
  return make("span", { class: `badge ${kind}` }, shape, ` ${upper in SHAPES ? upper : word}`);
}

function table(caption, heads, rows, kind) {
  const head = heads.map(([title, numeric]) => make("th", { scope: "col", class: numeric ? "number" : null }, title));
  const body = rows.map((row) => make("tr", {}, row.map((cell, n) => {
    const numeric = heads[n][1] ? "number" : heads[n][2] || null;
    return n === 0 ? make("th", { scope: "row", class: numeric }, cell) : make("td", { class: numeric }, cell);
  })));
  return make("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": caption },
    make("table", { class: kind }, make("caption", {}, caption), make("thead", {}, make("tr", {}, head)), make("tbody", {}, body)));
}

function card(name, figure, note) {
  return make("div", { class: "card" }, make("div", { class: "name" }, name),
    make("div", { class: "figure" }, figure === null || figure === undefined ? "-" : String(figure)),
    note ? make("div", { class: "note" }, note) : null);
}

function section(title, ...content) {
  const body = content.flat().filter(Boolean);
  return body.length ? make("section", {}, make("h2", {}, title), body) : null;
}

function headline(state) {
  const name = state.scenario || "No run yet";
  const parts = [make("p", { class: "verdict", role: "status" }, badge(state.headline), ` ${name}`,
    state.quick ? " (quick form)" : "")];
  if (state.purpose) {
    parts.push(make("p", {}, state.purpose));
  }
  if (state.status === "idle") {
    parts.push(make("p", { class: "soft" }, "Choose a scenario in the start form; its run is then shown here."));
  }
  if (state.step && state.step !== state.scenario && state.status !== "over") {
    parts.push(make("p", { class: "soft" }, state.step));
  }
  if (state.message) {
    const kind = state.headline === "interrupted" ? "neutral" : "fail";
    parts.push(make("div", { class: `banner ${kind}`, role: "alert" }, make("p", { class: "message" }, state.message)));
  }
  return parts;
}

function progress(state) {
  if (!state.phases.length || state.status === "over") {
    return null;
  }
  const phases = state.phases.map((phase) => {
    const part = make("div", { class: phase.is_now ? "phase now" : "phase", title: `${phase.name}, ${phase.lasts}` },
      `${phase.name} ${phase.lasts}${phase.measured ? "" : " (not measured)"}`);
    part.style.flex = `${phase.share} 1 0`;
    return part;
  });
  const mark = make("div", { class: "mark", "aria-hidden": "true" });
  mark.style.left = `calc(${(state.done * 100).toFixed(2)}% - 1px)`;
  const stop = make("button", { type: "button" }, state.is_ending ? "End at once" : "End the run");
  stop.addEventListener("click", () => {
    stop.disabled = true;
    fetch("holdfast/stop", { method: "POST" });
  });
  return [make("div", { class: "bar", role: "img", "aria-label": `phase ${state.phase}, ${state.left} left` }, phases, mark),
    make("div", { class: "cards" }, card("phase", state.phase), card("time left", state.left),
      card("faults in force", state.under_way || "none")),
    make("p", {}, stop)];
}

function workload(one, isOver) {
  const now = isOver ? [] : [["now P50", true], ["P95", true], ["P99", true]];
  const heads = [["time", false], ...now, [isOver ? "P50" : "measured P50", true], ["P95", true], ["P99", true], ["max", true],
    ["samples", true]];
  const rows = one.latency.map((line) => [line.kind, ...(isOver ? [] : line.now), ...line.measured, line.max, line.samples]);
  const outcomes = one.outcomes.map((entry) => make("li", { class: entry.count ? "some" : "none" },
    `${entry.name} ${String(entry.count).replace(/\B(?=(\d{3})+$)/g, " ")}`));
  const title = isOver ? `${one.name}: times of all that was measured`
    : `${one.name}: times of the last 2 s ("now") and of all that was measured so far`;
  return make("div", { class: "workload", "data-workload": one.name }, make("h3", {}, one.name),
    make("p", { class: "soft small" }, one.plan),
    isOver ? null : make("div", { class: "cards" }, card("rate", one.rate, "ended, last 2 s"),
      card("P95", one.p95, "response, last 2 s"), card("not OK", one.failed, "last 2 s"), card("lanes connected", one.connected)),
    table(title, heads, rows),
    make("ul", { class: "outcomes", "aria-label": "how arrivals ended, warm-up included" }, outcomes));
}

function verdict(state) {
  if (!state.verdict) {
    return state.rules.length
      ? section("Rules", make("ul", {}, state.rules.map((rule) => make("li", {}, make("code", {}, rule)))))
      : null;
  }
  const rows = state.verdict.checks.map((check) => [
    check.is_rule ? make("code", {}, check.rule) : check.rule, badge(check.status), check.observed,
    [unbroken(check.because), check.advice ? make("div", { class: "advice" }, check.advice) : null]]);
  return section("Verdict", rows.length ? table("each rule with what was observed",
      [["rule", false], ["status", false], ["observed", true], ["why", false, "said"]], rows, "rules")
    : make("p", {}, "The scenario has no rules."));
}

function links(run, files) {
  const base = `holdfast/run/${encodeURIComponent(run)}/`;
  return make("p", { class: "files" }, files.map((name) => make("a", {
    href: base + name, target: name === "report.html" ? "_blank" : null, rel: "noopener",
    download: name === "report.html" ? null : "" }, name)));
}

function render(state) {
  const mine = state.runs.find((entry) => entry.run === state.run);
  const earlier = state.runs.filter((entry) => entry.run !== state.run || state.status !== "over");
  const events = state.events.map((entry) => [entry.at, entry.what, entry.about]);
  return [
    headline(state),
    state.status === "over" && mine ? [make("p", { class: "soft small" }, `run folder ${mine.run}`), links(mine.run, mine.files)] : null,
    progress(state),
    state.status === "over" ? verdict(state) : null,
    section("Workloads", state.workloads.map((one) => workload(one, state.status === "over"))),
    state.status === "over" ? null : verdict(state),
    events.length ? section("Events", table("the latest first; times from the start of the run",
      [["at", false], ["what", false], ["about", false]], events)) : null,
    state.workers.length ? section("Workers", table("who makes the load", [["worker", false], ["state", false]],
      state.workers.map((worker) => [worker.name, worker.state]))) : null,
    earlier.length ? section("Earlier runs", earlier.map((entry) => make("div", {},
      make("p", {}, badge(entry.headline), ` ${entry.scenario} `, make("span", { class: "soft small" }, entry.run)),
      links(entry.run, entry.files)))) : null,
  ].flat(2).filter(Boolean);
}

async function look() {
  let pause = 1000;
  try {
    const answer = await fetch("holdfast/state", { cache: "no-store" });
    if (!answer.ok) {
      throw new Error(await answer.text());
    }
    const text = await answer.text();
    if (text !== shown) {
      const focused = document.activeElement && document.activeElement.getAttribute("aria-label");
      const state = JSON.parse(text);
      document.title = state.scenario ? `${state.headline}: ${state.scenario}` : "Holdfast";
      const places = [...main.querySelectorAll(".scroll")].map((node) => node.scrollLeft);
      main.replaceChildren(...render(state));
      main.querySelectorAll(".scroll").forEach((node, n) => { node.scrollLeft = places[n] || 0; });
      if (focused) {
        const again = [...main.querySelectorAll("[aria-label]")].find((node) => node.getAttribute("aria-label") === focused);
        if (again) {
          again.focus({ preventScroll: true });
        }
      }
      shown = text;
    }
    main.classList.remove("gone");
  } catch (failure) {
    main.classList.add("gone");
    document.title = "Holdfast: no answer";
    shown = "";
    pause = 3000;
  }
  setTimeout(look, document.hidden ? 5000 : pause);
}

look();
