"use strict";
// Sorting, filtering and copying; the page is whole without them.
(() => {
  const number = text => { const n = Number(text); return text !== "" && !Number.isNaN(n) ? n : null; };
  const key = (row, column) => row.cells[column].dataset.v ?? row.cells[column].textContent;

  function compare(a, b) {
    const [x, y] = [number(a), number(b)];
    return x !== null && y !== null ? x - y : a.localeCompare(b, "en", { numeric: true });
  }

  function sort(table, column, button) {
    const heading = button.closest("th");
    const direction = heading.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", direction);
    const sign = direction === "ascending" ? 1 : -1;
    const rows = [...table.tBodies[0].rows];
    rows.sort((a, b) => sign * compare(key(a, column), key(b, column)));
    table.tBodies[0].append(...rows);
  }

  function sortable(table) {
    [...table.tHead.rows[0].cells].forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => sort(table, column, button));
    });
  }

  function filterable(table) {
    const input = document.createElement("input");
    const shown = document.createElement("output");
    input.type = "search";
    input.placeholder = "filter rows";
    input.setAttribute("aria-label", "Filter the rows of: " + table.caption.textContent);
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let left = 0;
      for (const row of table.tBodies[0].rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every(word => text.includes(word));
        left += !row.hidden;
      }
      shown.textContent = words.length ? left + " of " + table.tBodies[0].rows.length : "";
    });
    const line = document.createElement("div");
    line.className = "filter";
    line.append(input, shown);
    table.closest(".box").before(line);
  }

  function copyable(code) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "copy";
    button.addEventListener("click", () => {
      getSelection().selectAllChildren(code);
      // A page opened from disk has no clipboard of its own; the selection's works everywhere.
      button.textContent = document.execCommand("copy") ? "copied" : "selected";
      setTimeout(() => { button.textContent = "copy"; }, 1500);
    });
    code.after(button);
  }

  document.querySelectorAll("table.sortable").forEach(sortable);
  document.querySelectorAll("table.filterable").forEach(filterable);
  document.querySelectorAll("code.line").forEach(copyable);
})();
