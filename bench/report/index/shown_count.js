"use strict";
(() => {
  const output = document.getElementById("shown");
  if (!output) return;
  const rows = [...document.querySelectorAll(".runs tbody tr[id]")];
  const count = () => {
    const shown = rows.filter((row) => row.getClientRects().length > 0).length;
    output.textContent = shown ? `${shown} of ${rows.length} runs shown` : "No run is like that; choose something else.";
  };
  document.querySelectorAll(".filters select").forEach((list) => list.addEventListener("change", count));
  count();
})();
