// Puts time line, legend, search and list together, one set for each boot.

// As wide as paper is in pixels of a page, so that letters on it have their size; drawn finer.
const LEGEND_MOST = 24, PAPER_WIDTH = 900, PAPER_SCALE = 3;

// What kinds there are and how often; a click hides one, with shift all others.
const legend = (data, hidden, changed) => {
  const byCount = data.about.kinds.map((_, kind) => kind).sort((a, b) => data.perKind[b] - data.perKind[a]);
  const order = [...byCount.filter((kind) => !data.about.kinds[kind].loss), ...byCount.filter((kind) => data.about.kinds[kind].loss)];
  const tell = () => entries.forEach(([kind, button]) => button.setAttribute("aria-pressed", String(!hidden.has(kind))));
  const choose = (kind, only) => {
    if (only) {
      const isOnly = hidden.size === order.length - 1 && !hidden.has(kind);
      hidden.clear();
      if (!isOnly) for (const other of order) if (other !== kind) hidden.add(other);
    } else if (!hidden.delete(kind)) hidden.add(kind);
    tell();
    changed();
  };
  const entries = order.map((kind) => {
    const count = make("b", { textContent: grouped(data.perKind[kind]) });
    const button = make("button", { type: "button", title: "show or hide; with shift show only this" }, make("i", { className: swatchClass(data, kind) }), `${data.about.kinds[kind].name} `, count);
    button.addEventListener("click", (event) => choose(kind, event.shiftKey));
    return [kind, button];
  });
  tell();
  const buttons = entries.map(([, button]) => button), box = make("div", { className: "legend" }, ...buttons.slice(0, LEGEND_MOST));
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", "kinds of events");
  if (buttons.length > LEGEND_MOST) box.append(make("details", {}, make("summary", { textContent: `${buttons.length - LEGEND_MOST} more` }), ...buttons.slice(LEGEND_MOST)));
  return box;
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

// A time as nanoseconds since the start: "0.312847", or "-12.5us" from the panic (ns, us, ms, s).
const parseTime = (text, data) => {
  const [, sign, number, unit] = /^([+-]?)(\d+(?:\.\d*)?)\s*(ns|us|ms|s)?$/.exec(text.trim()) ?? [];
  if (!number) return null;
  if (sign) return data.panic ? data.panic.at + Number(sign + number) * { ns: 1, us: 1e3, ms: 1e6, s: 1e9 }[unit ?? "s"] : null;
  if (unit && unit !== "s") return Number(number) * { ns: 1, us: 1e3, ms: 1e6 }[unit] - Number(data.base);
  const [whole, part = ""] = number.split(".");
  return Number(BigInt(whole) * 1000000000n + BigInt(part.padEnd(9, "0").slice(0, 9)) - data.base);
};

const labelled = (element, label) => { element.setAttribute("aria-label", label); return element; };
const button = (text, label, action) => {
  const element = make("button", { type: "button", textContent: text, title: label });
  element.addEventListener("click", () => action(element));
  return labelled(element, label);
};

// One boot's time line and list, and what moves them.
class Boot {
  constructor(section, data) {
    Object.assign(this, { section, data, hidden: new Set(), query: parse(""), only: false, matches: null });
    const pick = (item, extend) => this.pick(item, extend);
    this.timeline = new Timeline(data, this.hidden, pick);
    this.list = new List(data, this.hidden, pick);
    this.search = labelled(make("input", { type: "search", placeholder: "search: text  core:2  name:irq", spellcheck: false }), "Search events: text, core:2, name:irq. Enter goes to the next, shift Enter to the previous one.");
    this.picked = make("output", { className: "picked", textContent: "Nothing is selected." });
    this.found = make("output", { className: "found" });
    this.jump = labelled(make("input", { type: "text", className: "jump", placeholder: data.panic ? "time, s or -20us" : "time, s", spellcheck: false }), "Go to a time in seconds, or from the panic as -20us");
    this.search.addEventListener("input", () => this.searchFor(this.search.value));
    this.search.addEventListener("keydown", (event) => { if (event.key === "Enter") this.step(event.shiftKey ? -1 : 1); });
    this.jump.addEventListener("change", () => this.goTo(this.jump.value));
    this.list.scroller.addEventListener("keydown", (event) => { if (event.key === "Enter") pickAndZoom(this.timeline); });
    this.list.rows.addEventListener("dblclick", () => pickAndZoom(this.timeline));
    section.append(
      make("h2", { textContent: "Time line" }), legend(data, this.hidden, () => this.changed(true)), this.controls(), this.timeline.element, this.picked,
      make("h2", { className: "on-screen", textContent: "Events" }), this.tools(), this.list.element);
    this.timeline.resize();
    this.tellFound();
  }

  controls() {
    const { timeline, data } = this;
    const nearPanic = () => { const at = data.panic.at, span = Math.max(2e5, (data.last - at) * 2.5); timeline.show(at - span * 0.5, at + span * 0.5); };
    return make("div", { className: "tools" },
      button("\u2212", "zoom out", () => timeline.zoom(2)), button("+", "zoom in", () => timeline.zoom(0.5)),
      button("all", "show all of it", () => timeline.showAll()),
      ...(data.panic ? [button("panic", "show the panic", nearPanic)] : []),
      button("selected", "zoom to what is selected", () => pickAndZoom(timeline)), timeline.status,
      make("span", { className: "hint", textContent: "wheel zooms, drag moves, click selects" }));
  }
  tools() {
    const only = button("only these", "list only what was found", (element) => {
      this.only = !this.only;
      element.setAttribute("aria-pressed", String(this.only));
      this.changed();
    });
    only.setAttribute("aria-pressed", "false");
    only.className = "toggle";
    const last = () => { const { items } = this.list; if (items.length) this.pick(items[items.length - 1]); };
    return make("div", { className: "tools" }, this.search, button("\u2191", "previous one found", () => this.step(-1)), button("\u2193", "next one found", () => this.step(1)), only, this.found, this.jump, button("last", "go to the last event", last));
  }

  pick(item, extend = false) {
    this.timeline.select(item);
    this.list.select(item, extend);
    this.picked.textContent = described(this.timeline, item).replaceAll("\n", " \u00b7 ");
  }

  // Lists what is to be listed; a text is looked for in all of it.
  changed(kinds = false) {
    if (kinds) this.timeline.tallyUp();
    this.list.filter(this.query, this.only ? this.matches : null);
    // Those found among what is listed.
    const listed = this.matches?.filter((item) => this.list.has(item)) ?? null;
    this.list.matches = this.timeline.matches = this.listed = listed;
    this.list.draw();
    this.timeline.later();
    this.tellFound();
  }
  tellFound() {
    const { listed, list, data } = this, count = listed ? listed.length : list.items.length;
    const place = listed ? lowerBound(listed, list.selected) : -1;
    const which = listed && listed[place] === list.selected && list.selected >= 0 ? `${grouped(place + 1)} of ` : "";
    this.found.textContent = listed ? `${which}${grouped(count)} found` : count === data.n ? `${grouped(count)} events` : `${grouped(count)} of ${grouped(data.n)} events`;
  }

  async searchFor(value) {
    this.query = parse(value);
    this.data.texts.stopSearch();
    this.found.textContent = this.query.text ? "searching" : "";
    const found = this.query.text ? await this.data.texts.find(this.query.text) : null;
    if (this.query.text && !found) return; // another search began
    this.matches = found;
    this.changed();
    if (found && !this.listed.includes(this.list.selected)) this.step(1);
  }
  // The next or previous one found, going round; without a search the next event listed.
  step(by) {
    const among = this.listed ?? this.list.items, { selected } = this.list;
    if (!among.length) return;
    const place = by > 0 ? lowerBound(among, selected + 1) : lowerBound(among, Math.max(0, selected)) - 1;
    this.pick(among[(place + among.length) % among.length]);
    this.tellFound();
  }
  goTo(text) {
    const at = parseTime(text, this.data), { items } = this.list;
    if (at === null) { this.found.textContent = "a time is as 0.312847, or -20us before the panic"; return; }
    if (!items.length) return;
    // Times hardly ever go back, and where they do the nearest before is near enough.
    let from = 0, to = items.length - 1;
    while (from < to) { const middle = (from + to) >>> 1; if (this.data.times[items[middle]] < at) from = middle + 1; else to = middle; }
    this.pick(items[from]);
  }

  // Paper has no dark mode, no controls, and all of the time line.
  toPaper() {
    this.before = { ...this.timeline.view };
    this.paper = this.list.printed();
    this.section.append(this.paper);
    this.timeline.onPaper = true;
    this.timeline.view = { ...this.timeline.full };
    this.timeline.resize(PAPER_WIDTH, PAPER_SCALE);
  }
  fromPaper() {
    this.paper?.remove();
    this.timeline.onPaper = false;
    this.timeline.view = this.before;
    this.timeline.resize();
  }
}

const listenToPrinter = (boots) => {
  const folded = [...document.querySelectorAll("details.registers")].filter((details) => !details.open);
  const turn = (isPaper) => {
    document.documentElement.classList.toggle("paper", isPaper);
    for (const details of folded) details.open = isPaper;
    for (const boot of boots) if (isPaper) boot.toPaper(); else boot.fromPaper();
  };
  addEventListener("beforeprint", () => turn(true));
  addEventListener("afterprint", () => turn(false));
};

const remark = (place, text) => place.append(make("p", { className: "remark", textContent: text }));
const start = async () => {
  const boots = [];
  for (const section of document.querySelectorAll("section.events")) {
    if (typeof DecompressionStream === "undefined") {
      remark(section, "This browser cannot inflate the events (it has no DecompressionStream): Chromium from 103, Firefox from 113 and Safari from 16.4 show the time line and the list.");
      continue;
    }
    try {
      const data = await load(section.dataset.trace);
      data.id = section.dataset.trace;
      if (data.about.leftOut) remark(section, `${grouped(data.about.leftOut)} older events and losses are not on this page; it holds the last ${grouped(data.n)}.`);
      boots.push(new Boot(section, data));
      performance.mark("drawn");
    } catch (error) {
      remark(section, `The events cannot be shown: ${error}`);
    }
    // What was built is seen before the next is begun.
    await new Promise((resume) => setTimeout(resume));
  }
  listenToPrinter(boots);
  // For the console and for tests: afterglow[0].data.texts.line(5).
  globalThis.afterglow = boots;
  document.documentElement.dataset.ready = boots.map(({ data }) => data.n).join(" ");
};

start();
