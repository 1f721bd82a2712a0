"use strict";
(() => {
  const root = document.documentElement;

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const theme = document.getElementById("theme");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const name = () => { theme.textContent = isDark() ? "Light" : "Dark"; };
  theme.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; name(); });
  dark.addEventListener("change", name);
  name();

  const order = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.order === undefined ? null : Number(cell.dataset.order);
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...body.rows];
        const numeric = head.classList.contains("num");
        rows.sort((a, b) => {
          if (!numeric) {
            const compared = a.cells[column].textContent.localeCompare(b.cells[column].textContent, "en", { numeric: true });
            return down ? -compared : compared;
          }
          const [x, y] = [order(a, column), order(b, column)];
          if (x === null || y === null) return (x === null) - (y === null);
          return down ? y - x : x - y;
        });
        body.append(...rows);
      });
    });
  }

  for (const field of document.querySelectorAll("input[data-filter]")) {
    const rows = [...document.getElementById(field.dataset.filter).tBodies[0].rows];
    const texts = rows.map((row) => row.textContent.toLowerCase());
    const count = document.getElementById(`${field.dataset.filter}-count`);
    const all = count.textContent;
    field.addEventListener("input", () => {
      const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      rows.forEach((row, index) => {
        row.hidden = !words.every((word) => texts[index].includes(word));
        shown += row.hidden ? 0 : 1;
      });
      count.textContent = words.length ? `${shown.toLocaleString("en")} of ${rows.length.toLocaleString("en")} match` : all;
    });
  }

  for (const chart of document.querySelectorAll("svg.chart")) {
    const drawn = JSON.parse(chart.dataset.points);
    const cursor = chart.querySelector(".cursor");
    const values = [...chart.parentElement.querySelectorAll(".legend b")];
    const when = chart.parentElement.querySelector(".when");
    const before = values.map((value) => value.textContent);
    const last = when.textContent;
    chart.addEventListener("pointermove", (event) => {
      const box = chart.getBoundingClientRect();
      const at = Math.min(Math.max((event.clientX - box.left) * (drawn.width / box.width), drawn.left), drawn.right);
      const seconds = ((at - drawn.left) / (drawn.right - drawn.left)) * drawn.span;
      cursor.setAttribute("x1", at);
      cursor.setAttribute("x2", at);
      cursor.classList.add("on");
      when.textContent = `at ${seconds.toFixed(1)} s`;
      drawn.series.forEach((one, index) => {
        const near = one.points.reduce((a, b) => (Math.abs(b[0] - seconds) < Math.abs(a[0] - seconds) ? b : a));
        values[index].textContent = near[1].toLocaleString("en");
      });
    });
    chart.addEventListener("pointerleave", () => {
      cursor.classList.remove("on");
      when.textContent = last;
      values.forEach((value, index) => { value.textContent = before[index]; });
    });
  }

  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll(".site.first details, #descriptors details")) details.open = true;
  });
  root.dataset.ready = "yes";
})();
