// Draws the page's chart from the specification that the server wrote into it, in the page's own colours.
(function () {
  "use strict";
  const box = document.getElementById("chart");
  const source = document.getElementById("spec");
  if (!box || !source) return;
  const given = JSON.parse(source.textContent);
  if (!given) {
    box.textContent = "Nothing to draw: this figure is unknown for every group.";
    return;
  }

  function config(style, width) {
    const ink = style.getPropertyValue("--ink").trim();
    const line = style.getPropertyValue("--line").trim();
    const axis = { labelColor: ink, titleColor: ink, gridColor: line, domainColor: line, tickColor: line };
    const fonts = { labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal", titlePadding: 8 };
    const narrow = width < 560;
    return {
      background: "transparent",
      font: style.getPropertyValue("--font").trim(),
      view: { stroke: null },
      axis: { ...axis, ...fonts },
      axisX: { tickCount: Math.max(2, Math.floor(width / 140)), labelFlush: true },
      axisY: { labelLimit: Math.floor(width * (narrow ? 0.4 : 0.25)), tickCount: 5 },
      legend: {
        labelColor: ink, labelFontSize: 12, orient: "bottom", symbolType: "square",
        labelLimit: narrow ? width - 60 : 190, columns: Math.max(1, Math.floor(width / 230)),
      },
    };
  }

  function draw() {
    const style = getComputedStyle(document.documentElement);
    const spec = structuredClone(given);
    const colours = spec.usermeta.colours.map(function (name) { return style.getPropertyValue(name).trim(); });
    if (spec.encoding.color) spec.encoding.color.scale.range = colours;
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
      function (error) { box.textContent = "The chart could not be drawn: " + error.message; }
    );
  }

  let width = 0;
  new ResizeObserver(function () {
    if (Math.abs(box.clientWidth - width) < 24) return;
    width = box.clientWidth;
    draw();
  }).observe(box);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
