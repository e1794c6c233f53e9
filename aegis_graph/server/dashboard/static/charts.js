"use strict";
(() => {
  const root = document.documentElement;
  const drawn = new Map();
  let first = true;

  const color = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const short = (value) => {
    if (value === 0) return "0";
    const sizes = [[1e9, "B"], [1e6, "M"], [1e3, "k"]];
    for (const [size, sign] of sizes) {
      if (value >= size) return `${+(value / size).toPrecision(3)}${sign}`;
    }
    return String(+value.toPrecision(3));
  };
  // Hours of one day need no date, days of one year no year.
  const tick = (label) => (label.length > 10 ? label.slice(5).replace(" ", "\n") : label.length > 7 ? label.slice(5) : label);

  function options(place, data, stacked, readout) {
    const axis = { stroke: color("--muted"), grid: { stroke: color("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    const number = data.labels.length;
    const bars = uPlot.paths.bars({ size: [0.8, 60], align: 0 });
    const money = data.unit === "USD" ? "$" : "";
    return {
      width: Math.max(place.clientWidth, 200),
      height: 240,
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, points: { show: false }, y: false },
      scales: { x: { time: false, range: [-0.6, number - 0.4] }, y: { range: (_, low, high) => [0, high > 0 ? high * 1.06 : 1] } },
      axes: [
        { ...axis, grid: { show: false }, splits: () => {
          const step = Math.max(1, Math.ceil(number / Math.max(2, Math.floor(place.clientWidth / 75))));
          return data.labels.map((_, at) => at).filter((at) => at % step === 0);
        }, values: (_, splits) => splits.map((at) => tick(data.labels[at])), size: 44 },
        { ...axis, size: 56, values: (_, splits) => splits.map((one) => money + short(one)) },
      ],
      series: [{}, ...stacked.map((one) => ({ fill: color(`--s${one.at}`), stroke: color(`--s${one.at}`), width: 0, paths: bars, points: { show: false } }))],
      hooks: {
        draw: [() => { if (first) { first = false; performance.mark("first-picture"); } }],
        setCursor: [(plot) => {
          const at = plot.cursor.idx;
          if (!readout) return;
          readout.textContent = at == null ? "\u00a0" : [data.labels[at], ...data.series.filter((one) => Number(one.values[at]) > 0).map((one) => `${one.name} ${money}${one.values[at].toLocaleString("en")}`)].join(" · ");
        }],
      },
    };
  }

  function draw(place) {
    const source = document.getElementById(place.dataset.chart);
    if (!source) return;
    const data = JSON.parse(source.textContent);
    const sums = data.labels.map(() => 0);
    const stacked = data.series.map((one, at) => ({ at, values: one.values.map((value, step) => (sums[step] += Number(value))) }));
    // The highest first: what is drawn later covers the lower part of it.
    stacked.reverse();
    const readout = document.querySelector(`[data-readout="${place.dataset.chart}"]`);
    drawn.get(place)?.destroy();
    drawn.set(place, new uPlot(options(place, data, stacked, readout), [data.labels.map((_, at) => at), ...stacked.map((one) => one.values)], place));
  }

  function drawAll() {
    for (const [place, plot] of drawn) {
      if (!place.isConnected) { plot.destroy(); drawn.delete(place); }
    }
    for (const place of document.querySelectorAll("[data-chart]")) draw(place);
  }

  function amount(text) {
    const [whole, part = ""] = text.split(".");
    const rest = part.slice(2);
    const found = [`$${Number(whole).toLocaleString("en")}.${part.slice(0, 2).padEnd(2, "0")}`];
    if (rest) {
      const small = document.createElement("small");
      small.textContent = rest;
      found.push(small);
    }
    return found;
  }

  let stream = null;
  function listen() {
    const place = document.querySelector("[data-live]");
    if (stream && !place) { stream.close(); stream = null; }
    if (stream || !place) return;
    stream = new EventSource(place.dataset.live);
    stream.addEventListener("today", (event) => {
      const figures = JSON.parse(event.data);
      for (const one of document.querySelectorAll("[data-figure]")) {
        const value = figures[one.dataset.figure];
        if (value === undefined) continue;
        const before = one.textContent;
        one.replaceChildren(...(one.dataset.kind === "usd" ? amount(value) : [value.toLocaleString("en")]));
        if (one.textContent !== before) {
          one.classList.add("changed");
          setTimeout(() => one.classList.remove("changed"), 800);
        }
      }
      root.dataset.live = figures.day;
    });
  }

  function switchTheme() {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    document.cookie = `aegis_theme=${root.dataset.theme}; path=${root.dataset.root || "/"}; max-age=31536000; samesite=strict`;
    drawAll();
  }

  // Addresses are shared: what was not filled in stays out of them.
  document.addEventListener("htmx:configRequest", (event) => {
    const given = event.detail.parameters;
    for (const [name, value] of Object.entries(given)) if (value === "") delete given[name];
    if (given.from || given.to) delete given.period;
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    const status = event.detail.xhr.status;
    // The session is over: the page itself leads to the login.
    if (status === 401) location.reload();
    // What is wrong with a filter is said by a page, too.
    else if (status === 400) event.detail.shouldSwap = true;
  });
  document.addEventListener("htmx:afterSettle", () => { drawAll(); listen(); });
  document.addEventListener("change", (event) => {
    if (event.target.name === "period" && event.target.value) {
      for (const one of event.target.form.querySelectorAll("[type=date]")) one.value = "";
    }
  }, true);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);

  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; drawAll(); } });
  for (const one of document.querySelectorAll("[data-theme-switch]")) {
    one.hidden = false;
    one.addEventListener("click", switchTheme);
  }
  drawAll();
  listen();
})();
