// Keys for lists, the filter, and the dialog that names the keys. The page works without this file.
"use strict";
(() => {
  let here = -1;
  const rows = () => [...document.querySelectorAll("[data-row]")].filter((row) => !row.hidden);
  const dialog = () => document.getElementById("keys");

  function go(step) {
    const all = rows();
    if (!all.length) return;
    document.querySelectorAll(".here").forEach((row) => row.classList.remove("here"));
    here = Math.min(Math.max(here + step, 0), all.length - 1);
    all[here].classList.add("here");
    all[here].scrollIntoView({ block: "nearest" });
    all[here].querySelector("a")?.focus({ preventScroll: true });
  }

  function filter(words) {
    const wanted = words.toLowerCase();
    document.querySelectorAll("main [data-row]").forEach((row) => {
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
    });
    here = -1;
  }

  document.addEventListener("input", (event) => {
    if (event.target.id === "filter") filter(event.target.value);
  });
  document.addEventListener("htmx:afterSwap", () => {
    const box = document.getElementById("filter");
    if (box?.value) filter(box.value);
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-show-keys]")) dialog().showModal();
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || dialog().open) return;
    const box = document.getElementById("filter");
    if (event.target.matches("input, textarea, select")) {
      if (event.key === "Escape" && event.target === box) {
        box.value = "";
        filter("");
        box.blur();
      }
      return;
    }
    if (event.key === "j") go(1);
    else if (event.key === "k") go(-1);
    else if (event.key === "/" && box) box.focus();
    else if (event.key === "?") dialog().showModal();
    else if (event.key === "u") document.querySelector("[data-up]")?.click();
    else if (event.key === "g") document.querySelector("[data-key=g]")?.click();
    else return;
    event.preventDefault();
  });
})();
