// Draws the page's chart from the specification that the server wrote into it, in the page's own colours.
(function () {
  "use strict";
  const box = document.getElementById("chart");
  const source = document.getElementById("spec");
  if (!box || !source) return;
  const spec = JSON.parse(source.textContent);
  if (!spec) {
    box.textContent = "Nothing to draw: the chosen figure is unknown for every group.";
    return;
  }
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  function draw() {
    const style = getComputedStyle(document.documentElement);
    const ink = style.getPropertyValue("--ink").trim();
    const line = style.getPropertyValue("--line").trim();
    const colours = ["--c1", "--c2", "--c3", "--c4", "--c5", "--c6", "--c7", "--c8", "--c9", "--c10"]
      .map((name) => style.getPropertyValue(name).trim());
    const config = {
      background: "transparent",
      font: style.getPropertyValue("--font").trim(),
      view: { stroke: null },
      axis: { labelColor: ink, titleColor: ink, gridColor: line, domainColor: line, tickColor: line, labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal" },
      legend: { labelColor: ink, labelFontSize: 12, labelLimit: 180, orient: "bottom", columns: 4 },
      bar: { color: colours[0] },
      range: { category: colours },
    };
    vegaEmbed(box, spec, { actions: false, renderer: "svg", config: config }).then(
      function () { box.dataset.drawn = "true"; },
      function (error) { box.textContent = "The chart could not be drawn: " + error.message; }
    );
  }
  draw();
  dark.addEventListener("change", draw);
})();
