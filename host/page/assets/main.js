// Puts time line, legend, search and list together, one set for each boot.

const legend = (data, hidden, changed) => {
  const entries = data.about.kinds.map(({ name, loss }, kind) => {
    const swatch = make("i", { className: loss ? "swatch hatched" : "swatch" });
    swatch.style.background = colourOf(data.about, kind);
    const button = make("button", { type: "button", title: "show or hide" }, swatch, `${name} `, make("b", { textContent: data.perKind[kind].toLocaleString("en") }));
    button.setAttribute("aria-pressed", "true");
    button.addEventListener("click", () => {
      if (!hidden.delete(kind)) hidden.add(kind);
      button.setAttribute("aria-pressed", String(!hidden.has(kind)));
      changed();
    });
    return button;
  });
  return make("div", { className: "legend" }, ...entries);
};

// "core:2 name:irq some text": what to list, and what to look for in it.
const parse = (query) => {
  const cores = new Set(), names = [], words = [];
  for (const word of query.split(" ")) {
    if (/^core:\d+$/.test(word)) cores.add(Number(word.slice(5)));
    else if (word.startsWith("name:")) names.push(word.slice(5));
    else words.push(word);
  }
  return { cores: cores.size ? cores : null, names, text: words.join(" ").trim() };
};

const build = async (section) => {
  const began = performance.now();
  const data = await load(section.dataset.trace);
  const hidden = new Set();
  const pick = (item) => { list.select(item); timeline.select(item); };
  const timeline = new Timeline(data, hidden, pick), list = new List(data, hidden, pick);
  const search = make("input", { type: "search", placeholder: "search: text, core:2, name:irq", spellcheck: false });
  search.setAttribute("aria-label", "search");
  const jump = make("input", { type: "text", placeholder: "go to time, s", size: 14 });
  jump.setAttribute("aria-label", "go to a time in seconds");
  const found = make("output");
  let query = parse("");
  const step = (by) => {
    if (!query.text) return;
    const item = list.find(query.text, list.selected < 0 && by > 0 ? -1 : list.selected, by);
    if (item >= 0) pick(item);
  };
  const changed = () => {
    list.filter(query);
    timeline.later();
    const count = query.text ? list.matches(query.text) : list.items.length;
    found.textContent = `${count.toLocaleString("en")} ${query.text ? "found" : "events"}`;
  };
  search.addEventListener("input", () => { query = parse(search.value); list.selected = -1; changed(); step(1); });
  search.addEventListener("keydown", (event) => { if (event.key === "Enter") step(event.shiftKey ? -1 : 1); });
  jump.addEventListener("change", () => {
    const [whole, part = ""] = jump.value.trim().split(".");
    if (!/^\d+$/.test(whole) || !/^\d*$/.test(part)) { found.textContent = "a time is seconds, as 0.312847"; return; }
    const at = Number(BigInt(whole) * 1000000000n + BigInt(part.padEnd(9, "0").slice(0, 9)) - data.base);
    const item = Math.min(lowerBound(data.times, at), data.n - 1);
    if (item >= 0) pick(item);
  });
  const button = (text, title, action) => {
    const element = make("button", { type: "button", textContent: text, title });
    element.addEventListener("click", action);
    return element;
  };
  const tools = make("div", { className: "tools" },
    button("-", "zoom out", () => timeline.zoom(2)), button("+", "zoom in", () => timeline.zoom(0.5)),
    button("all", "all of it", () => timeline.show(timeline.full.from, timeline.full.to)),
    search, button("previous", "previous one", () => step(-1)), button("next", "next one", () => step(1)), found, jump);
  section.append(make("h2", { textContent: "Time line and events" }), legend(data, hidden, changed), timeline.element, tools, list.scroller);
  changed();
  addEventListener("beforeprint", () => { section.querySelector(".printed")?.remove(); section.append(list.printed()); });
  timeline.resize();
  const ready = performance.now() - began;
  return { data, timeline, list, search, changed, step, pick, ready };
};

const start = async () => {
  if (typeof DecompressionStream === "undefined") {
    document.body.append(make("p", { className: "remark", textContent: "This browser cannot inflate the events (no DecompressionStream): a newer one shows the time line." }));
    return;
  }
  const built = [];
  for (const section of document.querySelectorAll("section.events")) {
    try { built.push(await build(section)); } catch (error) {
      section.append(make("p", { className: "remark", textContent: `The events cannot be shown: ${error}` }));
    }
  }
  document.documentElement.dataset.ready = built.map(({ data }) => data.n).join(" ");
  // For tests and bug reports: #check does what a person does and says what came of it, #look=FROM,TO zooms (microseconds).
  const [, check, look] = location.hash.match(/^#(check)|^#look=([\d.,]+)/) ?? [];
  if (check && built.length) {
    const result = selfCheck(built[0]);
    console.log(`check: ${result.events} events ready in ${result.ready} ms, slowest frame ${result.frame} ms, search ${result.searched} ms`);
    document.body.append(make("pre", { id: "check", textContent: JSON.stringify(result) }));
  }
  if (look && built.length) {
    const [from, to] = look.split(",").map((us) => Number(us) * 1000 - Number(built[0].data.base));
    built[0].timeline.show(from, to);
  }
};

// What a person would do, and what came of it.
const selfCheck = ({ data, timeline, list, search, ready }) => {
  const frames = [];
  for (let i = 0; i < 40; i++) {
    const began = performance.now();
    timeline.zoom(i < 20 ? 0.6 : 1.7);
    timeline.draw();
    timeline.canvas.getContext("2d").getImageData(0, 0, 1, 1);
    frames.push(performance.now() - began);
  }
  const began = performance.now();
  search.value = data.n ? data.lineOf(data.n - 1) : "";
  search.dispatchEvent(new Event("input"));
  const searched = performance.now() - began;
  const result = {
    events: data.n, ready, frame: Math.max(...frames), searched, selected: list.selected, rows: list.rows.children.length,
    lanes: data.lanes.map((lane) => lane.items.length), losses: data.lanes.map((lane) => lane.losses.length),
    lines: Array.from({ length: Math.min(data.n, 2000) }, (_, i) => `${data.clock(data.times[i])} ${data.cores[i]} ${data.pids[i]} ${data.lineOf(i)}`),
  };
  search.value = "";
  search.dispatchEvent(new Event("input"));
  return result;
};

start();
