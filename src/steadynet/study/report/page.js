/* What moves in the report's page: charts, colours, the legend, copying, and paper. It asks no network for anything. */
(function () {
  "use strict";
  var root = document.documentElement;
  var dark = JSON.parse(document.getElementById("colours").textContent);
  var system = window.matchMedia("(prefers-color-scheme: dark)");
  var coarse = window.matchMedia("(pointer: coarse)").matches;
  var charts = {};
  var plots = [];
  var printing = false;

  function isDark() {
    if (printing) return false;
    return root.dataset.theme ? root.dataset.theme === "dark" : system.matches;
  }

  /* Figures come in the light theme's colours. */
  function coloured(value, key) {
    if (Array.isArray(value)) return value.map(function (one) { return coloured(one, key); });
    if (value && typeof value === "object") {
      var made = {};
      Object.keys(value).forEach(function (name) { made[name] = coloured(value[name], name); });
      return made;
    }
    return typeof value === "string" && /color$/.test(key) && isDark() && dark[value] || value;
  }

  function draw(plot) {
    var figure = coloured(plot.figure, "");
    figure.data.forEach(function (trace) {
      if (plot.chart.hidden[trace.meta.series + "/" + Number(trace.meta.published)]) trace.visible = false;
    });
    figure.layout.width = plot.element.clientWidth;
    /* A finger scrolls the page; only a mouse draws a frame to look closer. */
    figure.layout.dragmode = coarse ? false : "zoom";
    Plotly.react(plot.element, figure.data, figure.layout, { displaylogo: false, displayModeBar: false });
    plot.drawn = plot.element.clientWidth;
  }

  function drawAll() {
    plots.forEach(draw);
  }

  function drawAgain() {
    plots.forEach(function (plot) { if (plot.drawn) draw(plot); });
  }

  document.querySelectorAll(".panels").forEach(function (panels) {
    var key = panels.dataset.chart;
    var figures = JSON.parse(document.getElementById(key + "-data").textContent);
    charts[key] = { hidden: {} };
    panels.querySelectorAll(".plot").forEach(function (element, number) {
      plots.push({ element: element, figure: figures[number], chart: charts[key], drawn: 0 });
    });
  });

  /* Charts are drawn when they come near: a report may hold hundreds. */
  if ("IntersectionObserver" in window) {
    var watch = new IntersectionObserver(function (seen) {
      seen.forEach(function (entry) {
        if (!entry.isIntersecting) return;
        watch.unobserve(entry.target);
        plots.forEach(function (plot) { if (plot.element === entry.target && !plot.drawn) draw(plot); });
      });
    }, { rootMargin: "800px 0px" });
    plots.forEach(function (plot) { watch.observe(plot.element); });
  } else {
    drawAll();
  }

  var waiting = 0;
  window.addEventListener("resize", function () {
    clearTimeout(waiting);
    waiting = setTimeout(function () {
      plots.forEach(function (plot) {
        if (plot.drawn && plot.drawn !== plot.element.clientWidth) draw(plot);
      });
    }, 120);
  });

  document.querySelectorAll(".legend button").forEach(function (button) {
    button.addEventListener("click", function () {
      var chart = charts[button.dataset.chart];
      var shown = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(shown));
      chart.hidden[button.dataset.series + "/" + button.dataset.published] = !shown;
      plots.forEach(function (plot) { if (plot.chart === chart && plot.drawn) draw(plot); });
    });
  });

  var theme = document.getElementById("theme");
  function named() {
    theme.textContent = isDark() ? "Light colours" : "Dark colours";
  }
  theme.hidden = false;
  named();
  theme.addEventListener("click", function () {
    root.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("steadynet-theme", root.dataset.theme); } catch (error) { /* kept for this view alone */ }
    named();
    drawAgain();
  });
  system.addEventListener("change", function () { named(); drawAgain(); });

  /* The table of contents is open beside the text, and closed above it. */
  var contents = document.getElementById("contents");
  var wide = window.matchMedia("(min-width: 60.01rem)");
  function placed() { contents.open = wide.matches; }
  placed();
  wide.addEventListener("change", placed);

  function copied(button, worked) {
    button.textContent = worked ? "Copied" : "Press Ctrl+C";
    setTimeout(function () { button.textContent = "Copy"; }, 1600);
  }
  function select(code) {
    var range = document.createRange();
    range.selectNodeContents(code);
    var selection = window.getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
  }
  document.querySelectorAll(".copy").forEach(function (button) {
    button.hidden = false;
    button.addEventListener("click", function () {
      var code = button.parentNode.querySelector("code");
      function fallback() {
        select(code);
        var worked = false;
        try { worked = document.execCommand("copy"); } catch (error) { worked = false; }
        copied(button, worked);
      }
      if (navigator.clipboard && navigator.clipboard.writeText) {
        navigator.clipboard.writeText(code.textContent).then(function () { copied(button, true); }, fallback);
      } else {
        fallback();
      }
    });
  });

  /* Paper is light, as wide as it is, and cannot be clicked: what is not finished stands there. */
  var opened = [];
  window.addEventListener("beforeprint", function () {
    printing = true;
    root.classList.add("printing");
    opened = Array.from(document.querySelectorAll(".missing:not([open])"));
    opened.forEach(function (list) { list.open = true; });
    drawAll();
  });
  window.addEventListener("afterprint", function () {
    printing = false;
    root.classList.remove("printing");
    opened.forEach(function (list) { list.open = false; });
    drawAgain();
  });
})();
