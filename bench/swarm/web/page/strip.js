"use strict";
// In Locust's page: opens the fields of a run, shows the panel in its tab, and says at the bottom how the run goes.
// Another scenario empties the fields that were filled in for the one before. Apart from that it only places texts; where Locust's page has changed and something is not found, the page works as it is.

(function () {
  const ENOUGH_S = 2000;
  let strip, word, said, link, frame;
  let opened = null;

  function add(tag, parent, attributes) {
    const node = document.createElement(tag);
    Object.assign(node, attributes || {});
    parent.append(node);
    return node;
  }

  function begin() {
    strip = add("div", document.body, { id: "holdfast-strip" });
    strip.setAttribute("role", "status");
    word = add("span", strip, { className: "word", textContent: "Holdfast" });
    said = add("span", strip, { className: "said" });
    link = add("a", strip, { href: "./holdfast", textContent: "Open the panel" });
    frame = document.createElement("iframe");
    frame.id = "holdfast-frame";
    frame.title = "Holdfast: the run";
    frame.hidden = true;
    document.body.insertBefore(frame, strip);
    arrange();
    new MutationObserver(arrange).observe(document.getElementById("root"), { childList: true, subtree: true });
    document.addEventListener("change", forget);
    window.addEventListener("popstate", arrange);
    window.addEventListener("resize", arrange);
    look();
  }

  function arrange() {
    // The fields of a scenario stand in a part that Locust shows closed.
    const summary = [...document.querySelectorAll(".MuiAccordionSummary-root")].find((one) => one.textContent.trim() === "Custom parameters");
    if (summary && summary !== opened) {
      opened = summary;
      if (summary.getAttribute("aria-expanded") !== "true") {
        summary.click();
      }
      const advanced = [...document.querySelectorAll(".MuiAccordionSummary-root")].find((one) => one.textContent.trim() === "Advanced options");
      const part = advanced && advanced.closest(".MuiAccordion-root");
      if (part) {
        part.hidden = true;
        part.style.display = "none";
      }
    }
    const tab = [...document.querySelectorAll('[role="tab"]')].find((one) => one.getAttribute("aria-selected") === "true");
    const ours = Boolean(tab) && tab.textContent.trim() === "Holdfast";
    if (ours && !frame.src) {
      frame.src = "./holdfast";
    }
    if (frame.hidden === ours) {
      frame.hidden = !ours;
    }
    if (strip.hidden !== ours) {
      strip.hidden = ours;
    }
    if (ours) {
      // Locust keeps the whole height for itself, so the panel lies over the empty room below the tabs.
      const top = Math.ceil(tab.getBoundingClientRect().bottom + window.scrollY) + 8;
      frame.style.top = `${top}px`;
      frame.style.height = `${Math.max(window.innerHeight - top, 360)}px`;
    }
  }

  // A rate, a duration or a number of lanes fits the scenario that it was written for.
  function forget(event) {
    if (event.target.name !== "scenario") {
      return;
    }
    for (const name of ["rate", "duration", "lanes", "seed"]) {
      const field = document.querySelector(`input[name="${name}"]`);
      if (field && field.value !== "") {
        // Past the page's own bookkeeping, which would put the old text back.
        Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(field, "");
        field.dispatchEvent(new Event("input", { bubbles: true }));
      }
    }
  }

  function sentence(state) {
    if (state.message) {
      return state.message;
    }
    if (state.status === "running" || state.status === "ending") {
      const faults = state.under_way ? `, ${state.under_way}` : "";
      const rates = state.workloads.map((one) => `${one.name} ${one.rate} P95 ${one.p95}`).join(", ");
      return `${state.scenario}: ${state.phase}, ${state.left} left${faults}; ${rates}`;
    }
    return [...new Set([state.scenario, state.step])].filter(Boolean).join(": ");
  }

  async function look() {
    try {
      const answer = await fetch("./holdfast/state", { cache: "no-store" });
      if (answer.ok) {
        const state = await answer.json();
        word.textContent = state.status === "idle" ? "Holdfast" : state.headline;
        said.textContent = sentence(state);
        said.title = said.textContent;
      }
    } catch (failure) {
      said.textContent = "no answer";
    }
    setTimeout(look, document.hidden ? 5 * ENOUGH_S : ENOUGH_S / 2);
  }

  if (document.readyState === "loading") {
    document.addEventListener("DOMContentLoaded", begin);
  } else {
    begin();
  }
})();
