// What a page does beyond its links and forms; everything works without it.
(function () {
  "use strict";
  const root = document.documentElement;
  root.classList.add("js");

  // Times are written by the server, in the zone that the browser names here. A page that was written in another
  // one is fetched again, once a window and zone: where cookies are refused it stays in UTC.
  function nameZone() {
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    if (!zone || !/^[\w+/-]{1,60}$/.test(zone)) return;
    document.cookie = "tripoint_zone=" + zone + "; path=/; max-age=31536000; SameSite=Lax";
    if (!root.dataset.zone || root.dataset.zone === zone) return;
    try {
      if (sessionStorage.getItem("tripoint_zone") === zone) return;
      sessionStorage.setItem("tripoint_zone", zone);
    } catch { return; }
    location.reload();
  }
  nameZone();

  function say(words) {
    const place = document.getElementById("said");
    if (place) place.textContent = words;
  }

  // A link to a request of a trace shows it open.
  function openTarget() {
    const id = decodeURIComponent(location.hash.slice(1));
    const details = id && document.getElementById(id)?.querySelector(":scope > details");
    if (details) details.open = true;
  }
  openTarget();
  window.addEventListener("hashchange", openTarget);

  // Menus: one open at a time; Escape and a click elsewhere close.
  const menus = [...document.querySelectorAll("details.menu")];
  menus.forEach(function (menu) {
    menu.addEventListener("toggle", function () {
      if (!menu.open) return;
      menus.forEach(function (other) { if (other !== menu) other.open = false; });
      menu.querySelector("select, input:not([type=hidden])")?.focus();
    });
    menu.addEventListener("keydown", function (event) {
      if (event.key !== "Escape" || !menu.open) return;
      menu.open = false;
      menu.querySelector("summary").focus();
    });
  });
  document.addEventListener("click", function (event) {
    menus.forEach(function (menu) { if (!menu.contains(event.target)) menu.open = false; });
  });

  // Values to choose from, for the dimension that is chosen and what was typed so far.
  const where = document.querySelector("select[data-values]");
  if (where) {
    const typed = where.form.elements.namedItem("is");
    const list = document.getElementById(typed.getAttribute("list"));
    let timer = 0, asked = "";
    const suggest = async function () {
      const address = new URL(where.dataset.values, location.href);
      address.searchParams.set("dimension", where.value);
      address.searchParams.set("prefix", typed.value);
      if (asked === address.href) return;
      asked = address.href;
      const answer = await fetch(address, { headers: { accept: "application/json" } }).catch(function () { return null; });
      if (asked !== address.href) return;
      const values = answer?.ok ? await answer.json() : [];
      list.replaceChildren(...values.map(function (value) {
        const option = document.createElement("option");
        option.value = value;
        return option;
      }));
    };
    const soon = function () { clearTimeout(timer); timer = setTimeout(suggest, 180); };
    where.addEventListener("change", function () { typed.value = ""; soon(); });
    typed.addEventListener("input", soon);
    where.closest("details").addEventListener("toggle", function (event) { if (event.target.open) soon(); });
  }

  // Copying. <button data-copy="ID" hidden> copies a table as tab-separated text, or the text of anything else;
  // <table data-copy> gets such a button of its own.
  function cellText(cell) {
    const exact = cell.dataset.exact || cell.querySelector("[data-exact]")?.dataset.exact || (cell.classList.contains("num") ? cell.title : "");
    const number = /^-?[\d.]+(?=$|[ ,])/.exec(exact);
    if (number) return number[0];
    if (exact.startsWith("unknown")) return "";
    return cell.innerText.replace(/[\u2007\u2008]/g, "").replace(/\s+/g, " ").trim();
  }
  function tableText(table) {
    return [...table.rows].map(function (row) {
      return [...row.cells].flatMap(function (cell) {
        return [cellText(cell), ...Array(cell.colSpan - 1).fill("")];
      }).join("\t");
    }).join("\n");
  }
  async function copy(text) {
    try { return await navigator.clipboard.writeText(text); } catch { /* no secure context: the old way */ }
    const area = document.createElement("textarea");
    area.className = "hidden";
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (!done) throw new Error("refused");
  }
  function arm(button, source) {
    const words = button.textContent;
    button.hidden = false;
    button.addEventListener("click", async function () {
      const table = source.matches("table") ? source : null;
      try {
        await copy(table ? tableText(table) : source.textContent.trim());
        button.textContent = "Copied";
        say(table ? table.tBodies[0].rows.length + " rows copied" : "Copied");
      } catch {
        button.textContent = "Copying was refused";
        say("The browser refused to copy");
      }
      button.focus();
      setTimeout(function () { button.textContent = words; }, 2000);
    });
  }
  document.querySelectorAll("button[data-copy]").forEach(function (button) {
    const source = document.getElementById(button.dataset.copy);
    if (source) arm(button, source);
  });
  document.querySelectorAll("table[data-copy]").forEach(function (table) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy table";
    (table.closest(".scroll") || table).before(button);
    arm(button, table);
  });

  // A file is read into a field of the form, to be looked at before it is sent.
  document.querySelectorAll("input[type=file][data-into]").forEach(function (chooser) {
    const field = document.getElementById(chooser.dataset.into);
    chooser.closest("label").hidden = false;
    chooser.addEventListener("change", async function () {
      const file = chooser.files[0];
      if (!file) return;
      if (file.size > field.maxLength) return say("The file is larger than " + field.maxLength + " bytes");
      field.value = await file.text();
      say(file.name + " is in the form now");
      field.focus();
    });
  });

  // A part of this page as the server has it now, or a part of another page.
  async function part(address, id) {
    const answer = await fetch(address, { headers: { accept: "text/html" } }).catch(function () { return null; });
    if (!answer?.ok) return null;
    return new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(id);
  }

  // What is still under way is loaded anew until it is done, for ten minutes at most.
  const live = document.querySelector("[id][data-live]");
  if (live) {
    let shown = live, turns = 0;
    const renew = async function () {
      turns += 1;
      const next = document.hidden ? null : await part(location.href, shown.id);
      if (next && next.innerHTML !== shown.innerHTML && !shown.querySelector("details[open]")) {
        shown.replaceWith(next);
        shown = next;
        say(next.querySelector("b")?.textContent || "Loaded anew");
      }
      if ("live" in shown.dataset && turns < 300) setTimeout(renew, 2000);
    };
    setTimeout(renew, 2000);
  }

  // What is said on another page is shown in its place when it is opened: <details data-from="/path#id">.
  document.querySelectorAll("details[data-from]").forEach(function (details) {
    details.addEventListener("toggle", async function () {
      if (!details.open || details.dataset.loaded) return;
      details.dataset.loaded = "true";
      const address = new URL(details.dataset.from, location.href);
      const found = await part(address, address.hash.slice(1));
      if (!found) return delete details.dataset.loaded;
      found.removeAttribute("id");
      details.replaceChildren(details.querySelector("summary"), found);
    });
  });
})();
