// Labelling by keyboard: digits choose a level, Enter saves, s skips, ? shows the keys. Without it the form works too.
(function () {
  "use strict";
  const form = document.querySelector(".label-form");
  if (!form) return;
  const questions = [...form.querySelectorAll("fieldset[data-dimension]")];
  const skip = document.querySelector(".skip-it");
  const keys = document.getElementById("keys");

  function say(words) { document.getElementById("said").textContent = words; }
  function chosen(question) { return question.querySelector("input:checked"); }
  function open() { return questions.find(function (question) { return !chosen(question); }); }

  // The question that a digit answers: the one that the keyboard is in, else the first that has no answer.
  let current = open() || questions[0];
  function point(question) {
    current = question;
    questions.forEach(function (one) { one.classList.toggle("now", one === question); });
  }
  point(current);
  form.addEventListener("focusin", function (event) {
    const question = event.target.closest("fieldset[data-dimension]");
    if (question) point(question);
  });

  function choose(number) {
    const level = current.querySelector("input[value=\"" + number + "\"]");
    if (!level) return;
    level.checked = true;
    const next = questions[questions.indexOf(current) + 1];
    const to = next && !chosen(next) ? next : open();
    if (to) {
      point(to);
      to.scrollIntoView({ block: "nearest" });
      say(level.parentElement.innerText + ". Next: " + to.querySelector("legend").innerText);
    } else {
      level.focus({ preventScroll: true });
      say(level.parentElement.innerText + ". All answered: Enter saves.");
    }
  }

  function save() {
    const missing = open();
    if (missing) {
      point(missing);
      missing.querySelector("input").focus();
      say("Still open: " + missing.querySelector("legend").innerText);
      return;
    }
    form.requestSubmit(form.querySelector("button[value=save]"));
  }

  let sent = false;
  form.addEventListener("submit", function (event) {
    if (sent) event.preventDefault();
    sent = true;
  });
  // A page that the browser kept and shows again may be sent again.
  window.addEventListener("pageshow", function () { sent = false; });

  document.addEventListener("keydown", function (event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    const writes = event.target.matches("input:not([type=radio]), textarea, select");
    if (event.key === "Escape" && writes) {
      event.target.blur();
      if (skip.contains(event.target)) skip.open = false;
      return;
    }
    if (writes) return;
    if (/^[0-9]$/.test(event.key)) choose(event.key === "0" ? 10 : Number(event.key));
    else if (event.key === "Enter" && !event.target.closest("a, button, summary")) save();
    else if (event.key === "s") { skip.open = true; skip.querySelector("input[name=reason]").focus(); }
    else if (event.key === "?") { keys.open = !keys.open; if (keys.open) keys.scrollIntoView({ block: "nearest" }); }
    else return;
    event.preventDefault();
  });
})();
