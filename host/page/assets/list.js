// The list of events: only the rows that are in view exist.

const ROW = 20, TALLEST = 8_000_000, PRINTED = 200;

class List {
  constructor(data, hidden, onPick) {
    Object.assign(this, { data, hidden, onPick, selected: -1 });
    this.rows = make("div", { className: "rows" });
    this.spacer = make("div", { className: "spacer" }, this.rows);
    this.scroller = make("div", { className: "list", tabIndex: 0 }, this.spacer);
    this.scroller.setAttribute("role", "listbox");
    this.scroller.setAttribute("aria-label", "Events in the order of time. Arrow keys select.");
    this.scroller.addEventListener("scroll", () => this.later());
    this.scroller.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(this.scroller);
    this.filter({ cores: null, names: [] });
  }

  // Which items are listed: not those of hidden kinds, other cores, other names.
  filter({ cores, names }) {
    const { n, kinds, about, cores: ofCore } = this.data;
    const kept = about.kinds.map(({ name }, kind) => !this.hidden.has(kind) && names.every((part) => name.includes(part)));
    const items = new Uint32Array(n);
    let count = 0;
    for (let i = 0; i < n; i++) if (kept[kinds[i]] && (!cores || cores.has(ofCore[i]))) items[count++] = i;
    this.items = items.subarray(0, count);
    this.tall = Math.min(count * ROW, TALLEST);
    this.spacer.style.height = `${this.tall}px`;
    this.draw();
  }

  // Rows that fit, and the first of them. More rows than a page can be tall share its pixels.
  get fits() { return Math.ceil(this.scroller.clientHeight / ROW); }
  get first() {
    const way = this.tall - this.scroller.clientHeight;
    return way <= 0 ? 0 : Math.round((this.scroller.scrollTop / way) * Math.max(0, this.items.length - this.fits + 1));
  }
  later() {
    if (!this.waiting) this.waiting = requestAnimationFrame(() => { this.waiting = 0; this.draw(); });
  }

  row(item) {
    const { data } = this, { about } = data, kind = data.kinds[item], line = data.lineOf(item), { name, loss } = about.kinds[kind];
    const swatch = make("i", { className: "swatch" });
    swatch.style.background = colourOf(about, kind);
    const row = make("div", { className: loss ? "row lost" : "row" },
      make("span", { className: "at", textContent: data.clock(data.times[item]) }),
      make("span", { className: "core", textContent: data.cores[item] }),
      make("span", { className: "pid", textContent: loss ? "" : data.pids[item] }),
      make("span", { className: "flags", textContent: about.contexts[data.contexts[item]] }),
      swatch,
      make("span", { className: "name", textContent: name }),
      make("span", { className: "text", textContent: line.slice(name.length + 2) }));
    row.setAttribute("role", "option");
    row.setAttribute("aria-selected", item === this.selected);
    row.addEventListener("click", () => this.onPick(item));
    return row;
  }

  draw() {
    const first = this.first;
    const shown = this.items.subarray(first, first + this.fits + 1);
    this.rows.style.transform = `translateY(${Math.min(this.scroller.scrollTop, Math.max(0, this.tall - shown.length * ROW))}px)`;
    this.rows.replaceChildren(...Array.from(shown, (item) => this.row(item)));
  }

  // Selects an item and brings it into view.
  select(item) {
    this.selected = item;
    const place = lowerBound(this.items, item), fits = this.fits - 1;
    if (this.items[place] === item && (place < this.first || place >= this.first + fits)) {
      const way = this.tall - this.scroller.clientHeight, top = Math.max(0, place - Math.floor(fits / 2));
      this.scroller.scrollTop = (top / Math.max(1, this.items.length - this.fits + 1)) * way;
    }
    this.draw();
  }

  key(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: this.fits - 1, PageUp: 1 - this.fits, Home: -Infinity, End: Infinity };
    if (!(event.key in steps) || !this.items.length) return;
    const place = lowerBound(this.items, Math.max(0, this.selected)) + (this.selected < 0 ? 0 : steps[event.key]);
    this.onPick(this.items[Math.min(Math.max(place, 0), this.items.length - 1)]);
    event.preventDefault();
  }

  // The next listed item, from one on, whose name or text holds a text; going round. -1: none does.
  find(text, from, step) {
    const { data, items } = this, { starts } = data;
    if (!items.length) return -1;
    const all = data.text, listed = (i) => items[lowerBound(items, i)] === i;
    const itemAt = (at) => { const next = lowerBound(starts, at + 1); return next - 1; };
    if (step > 0) {
      for (const [begin, end] of [[starts[from + 1] ?? all.length, all.length], [0, starts[from + 1] ?? all.length]]) {
        for (let at = all.indexOf(text, begin); at >= 0 && at < end;) {
          const item = itemAt(at);
          if (listed(item)) return item;
          at = all.indexOf(text, starts[item + 1]);
        }
      }
      return -1;
    }
    for (const [begin, end] of [[(starts[Math.max(0, from)] ?? 0) - 1, 0], [all.length, starts[Math.max(0, from)] ?? 0]]) {
      for (let at = begin < 0 ? -1 : all.lastIndexOf(text, begin); at >= end;) {
        const item = itemAt(at);
        if (listed(item)) return item;
        if (!starts[item]) break;
        at = all.lastIndexOf(text, starts[item] - 1);
      }
    }
    return -1;
  }

  // How many listed items hold a text.
  matches(text) {
    const { starts, text: all } = this.data;
    let count = 0;
    for (let at = all.indexOf(text); at >= 0;) {
      const item = lowerBound(starts, at + 1) - 1;
      if (this.items[lowerBound(this.items, item)] === item) count++;
      at = all.indexOf(text, starts[item + 1]);
    }
    return count;
  }

  // On paper: the last ones.
  printed() {
    const last = this.items.subarray(Math.max(0, this.items.length - PRINTED));
    const note = `the last ${last.length} of ${this.items.length} events`;
    return make("div", { className: "printed" }, make("p", { textContent: note }), ...Array.from(last, (item) => this.row(item)));
  }
}
