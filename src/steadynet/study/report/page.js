// Draws the charts of the report from the numbers that stand in it, and again when the theme or the width changes.
(() => {
  "use strict";
  const charts = JSON.parse(document.getElementById("charts").textContent);
  // Okabe and Ito's palette; on dark paper its black is white, and its blues and greens are lighter.
  const COLOURS = {
    light: ["#000000", "#d88a00", "#2f94cf", "#00805c", "#d55e00", "#00598c", "#b8578f", "#777777"],
    dark: ["#f2f2f2", "#f0b13c", "#7cc8f2", "#2fc297", "#ff8b45", "#5aa5da", "#e39cc4", "#a5a5a5"],
  };
  const DASHES = ["solid", "dash", "dashdot", "longdash", "longdashdot", "5px 2px 1px 2px 1px 2px"];
  const SYMBOLS = ["circle", "square", "triangle-up", "diamond", "triangle-down", "x", "pentagon", "star"];
  const root = document.documentElement;
  const media = window.matchMedia("(prefers-color-scheme: dark)");

  const number = (value) => (value === null ? null : value);
  const shown = (value) => {
    const size = Math.abs(value);
    return size >= 10 ? value.toFixed(2) : size === 0 ? "0" : Number(value.toPrecision(4)).toString();
  };
  const escaped = (text) => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const style = (index, theme) => {
    const turn = index + Math.floor(index / 8);
    return {
      colour: COLOURS[theme][index % 8],
      symbol: SYMBOLS[turn % SYMBOLS.length],
      dash: DASHES[turn % DASHES.length],
    };
  };
  const faded = (hex, alpha) => {
    const parts = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
    return `rgba(${parts.join(",")},${alpha})`;
  };
  const hover = (series, point) => {
    const interval = point.lo !== null && point.hi !== null ? `<br>95 %: ${shown(point.lo)} to ${shown(point.hi)}` : "";
    const mark = point.converged ? "" : "<br>not converged";
    const words = (point.detail || "").replace(/(.{1,70})(\s|$)/g, "$1\n").trim();
    return `<b>${escaped(series.name)}${series.published ? ", published" : ""}</b><br>${escaped(point.x)}: ` +
      `${shown(point.y)}${interval}${mark}<br><span style="font-size:.85em">${escaped(words).replace(/\n/g, "<br>")}</span>`;
  };
  const marker = (series, look) => ({
    color: series.points.map((p) => (p.converged && !series.published ? look.colour : "rgba(0,0,0,0)")),
    symbol: look.symbol,
    size: 9,
    line: { color: look.colour, width: 1.8 },
  });
  const bars = (series) => ({
    type: "data",
    symmetric: false,
    array: series.points.map((p) => (p.hi === null || p.y === null ? 0 : p.hi - p.y)),
    arrayminus: series.points.map((p) => (p.lo === null || p.y === null ? 0 : p.y - p.lo)),
  });

  function traces(chart, panel, theme) {
    const made = [];
    for (const series of panel.series) {
      const look = style(series.style, theme);
      const x = series.points.map((p) => p.x);
      const y = series.points.map((p) => number(p.y));
      const common = {
        name: series.name, showlegend: false, hoverinfo: "text", text: series.points.map((p) => hover(series, p)),
        marker: marker(series, look),
      };
      if (chart.kind === "curve") {
        const banded = series.points.filter((p) => p.lo !== null && p.hi !== null);
        if (banded.length > 1 && !series.published) {
          made.push({
            x: [...banded.map((p) => p.x), ...banded.map((p) => p.x).reverse()],
            y: [...banded.map((p) => p.hi), ...banded.map((p) => p.lo).reverse()],
            fill: "toself", fillcolor: faded(look.colour, 0.14), line: { width: 0 }, mode: "lines", hoverinfo: "skip", showlegend: false,
          });
        }
        made.push({
          ...common, x, y, mode: "lines+markers", connectgaps: false,
          line: { color: look.colour, width: 2, dash: series.published ? "dot" : look.dash },
          error_y: banded.length === 1 && !series.published ? { ...bars(series), color: look.colour } : undefined,
        });
      } else if (chart.kind === "scatter") {
        made.push({ ...common, x, y, mode: "markers", error_y: { ...bars(series), color: look.colour, thickness: 1.2 } });
      } else if (chart.kind === "bar") {
        made.push({
          ...common, x: y, y: series.points.map((p) => (typeof p.x === "string" ? p.x : series.name)), mode: "markers",
          error_x: { ...bars(series), color: look.colour },
        });
      } else {
        for (const point of series.points) {
          if (point.values.length > 1) {
            made.push({
              type: "violin", orientation: "h", x: point.values, y: point.values.map(() => String(point.x)), name: series.name, showlegend: false,
              line: { color: look.colour, width: 1.2 }, fillcolor: faded(look.colour, 0.25), points: "all", jitter: 0.35, pointpos: 0,
              marker: { color: look.colour, size: 3, opacity: 0.5 }, hoveron: "violins", hoverinfo: "skip", spanmode: "hard",
            });
          }
        }
        made.push({
          ...common, x: y, y: series.points.map((p) => String(p.x)), mode: "markers", error_x: { ...bars(series), color: look.colour },
        });
      }
    }
    return made;
  }

  function layout(chart, panel, theme) {
    const css = getComputedStyle(root);
    const ink = css.getPropertyValue("--ink").trim();
    const line = css.getPropertyValue("--line").trim();
    const sideways = chart.kind === "violin" || chart.kind === "bar";
    const axis = { gridcolor: line, linecolor: ink, zerolinecolor: line, automargin: true, ticks: "outside", tickcolor: ink };
    const category = { ...axis, type: "category", autorange: "reversed" };
    return {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: ink, size: 13, family: css.fontFamily || "sans-serif" },
      margin: { l: 10, r: 12, t: 8, b: 10 },
      hoverlabel: { bgcolor: theme === "dark" ? "#2a2e33" : "#ffffff", font: { color: ink }, align: "left" },
      xaxis: {
        ...axis, title: { text: escaped(sideways ? chart.y_label : chart.x_label), font: { size: 12.5 }, standoff: 8 },
        type: chart.log_x && !sideways ? "log" : undefined, range: sideways ? panel.range ?? undefined : undefined,
      },
      yaxis: sideways ? category : { ...axis, title: { text: escaped(chart.y_label), font: { size: 12.5 }, standoff: 6 }, range: panel.range ?? undefined },
      showlegend: false,
    };
  }

  function glyph(series, theme) {
    const look = style(series.style, theme);
    const dash = series.published ? "2 3" : { solid: "", dash: "6 4", dashdot: "6 3 2 3", longdash: "10 4", longdashdot: "10 3 2 3" }[look.dash] ?? "5 2 1 2";
    const shapes = {
      circle: '<circle cx="17" cy="8" r="4.5"/>', square: '<rect x="13" y="4" width="8" height="8"/>', "triangle-up": '<path d="M17 3l5 9h-10z"/>',
      diamond: '<path d="M17 2.5l5 5.5-5 5.5-5-5.5z"/>', "triangle-down": '<path d="M17 13l5-9h-10z"/>',
      x: '<path d="M13 4l8 8M21 4l-8 8" stroke-width="3"/>', pentagon: '<path d="M17 3l5 3.8-1.9 5.7h-6.2L12 6.8z"/>',
      star: '<path d="M17 2l1.6 4h4.2l-3.4 2.6 1.3 4.1L17 10.2l-3.7 2.5 1.3-4.1L11.200 6h4.200z"/>',
    };
    return `<svg width="34" height="16" aria-hidden="true" stroke="${look.colour}" fill="${series.published ? "none" : look.colour}">` +
      `<path d="M0 8h34" stroke-width="2" stroke-dasharray="${dash}" fill="none"/>${shapes[look.symbol]}</svg>`;
  }

  function draw() {
    const theme = root.dataset.theme === "dark" ? "dark" : "light";
    for (const chart of charts) {
      const legend = document.getElementById(`legend-${chart.key}`);
      if (legend) {
        legend.innerHTML = chart.legend
          .map((series) => `<li>${glyph(series, theme)}<span>${escaped(series.name)}${series.published ? ", published" : ""}</span></li>`).join("");
      }
      chart.panels.forEach((panel, index) => {
        const target = document.getElementById(`plot-${chart.key}-${index}`);
        Plotly.react(target, traces(chart, panel, theme), layout(chart, panel, theme), {
          responsive: true, displaylogo: false, displayModeBar: false,
        });
      });
    }
    root.dataset.drawn = String(charts.length);
  }

  function setTheme(theme) {
    root.dataset.theme = theme;
    document.getElementById("theme").textContent = theme === "dark" ? "Light" : "Dark";
    draw();
  }

  document.getElementById("theme").addEventListener("click", () => setTheme(root.dataset.theme === "dark" ? "light" : "dark"));
  media.addEventListener("change", (event) => setTheme(event.matches ? "dark" : "light"));
  let before = null;
  window.addEventListener("beforeprint", () => { before = root.dataset.theme; if (before === "dark") setTheme("light"); });
  window.addEventListener("afterprint", () => { if (before === "dark") setTheme("dark"); });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-copy]");
    if (!button) return;
    const text = button.parentElement.querySelector("code").textContent;
    const done = () => { button.textContent = "Copied"; setTimeout(() => { button.textContent = "Copy"; }, 1500); };
    if (navigator.clipboard) navigator.clipboard.writeText(text).then(done, () => {});
  });
  setTheme(media.matches ? "dark" : "light");
})();
