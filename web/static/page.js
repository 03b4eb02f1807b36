// What a page does beyond its links and forms; everything works without it.
(function () {
  "use strict";

  // A link to a request of a trace shows it open.
  function openTarget() {
    const id = decodeURIComponent(location.hash.slice(1));
    const details = id && document.getElementById(id)?.querySelector("details");
    if (details) details.open = true;
  }
  openTarget();
  window.addEventListener("hashchange", openTarget);

  // Two dates win over a period, so choosing one of them lets go of the other.
  const form = document.querySelector("form.filters");
  if (form) {
    const period = form.elements.namedItem("last");
    const dates = [form.elements.namedItem("from"), form.elements.namedItem("to")];
    period.addEventListener("change", function () {
      if (period.value) dates.forEach(function (date) { date.value = ""; });
    });
  }
})();
