// Draws the page's charts from the specifications that the server wrote into it, in the page's own colours.
// A chart says what became of it: data-drawn is true, empty or failed.
(function () {
  "use strict";

  function config(style, width) {
    const ink = style.getPropertyValue("--soft").trim();
    const line = style.getPropertyValue("--line").trim();
    const axis = { labelColor: ink, titleColor: ink, gridColor: line, domainColor: line, tickColor: line };
    const fonts = { labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal", titlePadding: 8 };
    const narrow = width < 560;
    return {
      background: "transparent",
      font: style.getPropertyValue("--font").trim(),
      view: { stroke: null },
      axis: { ...axis, ...fonts },
      axisX: { labelFlush: 8 },
      axisY: { labelLimit: Math.floor(width * (narrow ? 0.4 : 0.25)), tickCount: 5, domain: false, ticks: false },
      legend: {
        labelColor: ink, labelFontSize: 12, orient: "bottom", symbolType: "square",
        labelLimit: narrow ? width - 60 : 190, columns: Math.max(1, Math.floor(width / 230)),
      },
    };
  }

  function instead(box, state, words) {
    const line = document.createElement("p");
    line.textContent = words;
    box.replaceChildren(line);
    box.dataset.drawn = state;
  }

  function drawer(box, given) {
    return function () {
      const style = getComputedStyle(document.documentElement);
      const spec = structuredClone(given);
      const colours = spec.usermeta.colours.map(function (name) { return style.getPropertyValue(name).trim(); });
      if (spec.layer) spec.layer.forEach(function (layer, at) {
        layer.mark.color = colours[at];
        if (layer.mark.point) layer.mark.point.color = colours[at];
      });
      else if (spec.encoding.color) spec.encoding.color.scale.range = colours;
      else spec.mark.color = colours[0];
      vegaEmbed(box, spec, {
        actions: false,
        ast: true, // Vega's interpreter: the page's policy allows no eval
        config: config(style, box.clientWidth),
        defaultStyle: false,
        renderer: "svg",
        tooltip: { disableDefaultStyle: true, theme: "page" },
      }).then(
        function () { box.dataset.drawn = "true"; },
        function (error) { instead(box, "failed", "The chart could not be drawn: " + error.message + ". Its figures stand below."); }
      );
    };
  }

  for (const box of document.querySelectorAll(".chart")) {
    const source = document.getElementById(box.dataset.spec || "spec");
    if (!source) continue;
    const given = JSON.parse(source.textContent);
    if (!given) {
      instead(box, "empty", box.dataset.empty || "Nothing to draw: this figure is unknown for every group.");
      continue;
    }
    if (!window.vegaEmbed) {
      instead(box, "failed", "The script that draws charts did not load. The figures stand below; load the page again for the chart.");
      continue;
    }
    const draw = drawer(box, given);
    let width = 0;
    new ResizeObserver(function () {
      if (Math.abs(box.clientWidth - width) < 24) return;
      width = box.clientWidth;
      draw();
    }).observe(box);
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  }
})();
