// The list of events: only the rows that are in view exist.

const ROW = 20, TALLEST = 8_000_000, PRINTED = 200, COPIED_MOST = 100_000;

class List {
  constructor(data, hidden, onPick) {
    Object.assign(this, { data, hidden, onPick, selected: -1, anchor: -1, matches: null });
    this.rows = make("div", { className: "rows" });
    this.spacer = make("div", { className: "spacer" }, this.rows);
    this.scroller = make("div", { className: "list", tabIndex: 0 }, this.spacer);
    this.scroller.setAttribute("role", "listbox");
    this.scroller.setAttribute("aria-multiselectable", "true");
    this.scroller.setAttribute("aria-label", "Events in the order of time. Up and down select, with shift several, Enter zooms the time line, control C copies.");
    this.element = make("div", { className: "events-list" }, heading(), this.scroller);
    this.scroller.addEventListener("scroll", () => this.later());
    this.scroller.addEventListener("keydown", (event) => this.key(event));
    // Without selected text a browser tells the document of a copy, not what has the focus.
    document.addEventListener("copy", (event) => { if (document.activeElement === this.scroller) this.copy(event); });
    this.rows.addEventListener("click", (event) => this.click(event));
    this.id = `row${data.id}-`;
    new ResizeObserver(() => this.draw()).observe(this.scroller);
    this.filter({ cores: null, names: [] });
  }

  // Which items are listed: not those of hidden kinds, other cores, other names; if only matches are, only they.
  filter({ cores, names }, only = null) {
    const { n, kinds, about, cores: ofCore } = this.data;
    const kept = about.kinds.map(({ name }, kind) => !this.hidden.has(kind) && names.every((part) => name.includes(part)));
    const isKept = (i) => kept[kinds[i]] && (!cores || cores.has(ofCore[i]));
    const items = new Uint32Array(only ? only.length : n);
    let count = 0;
    if (only) { for (const i of only) if (isKept(i)) items[count++] = i; } else for (let i = 0; i < n; i++) if (isKept(i)) items[count++] = i;
    this.items = items.subarray(0, count);
    this.tall = Math.min(count * ROW, TALLEST);
    this.spacer.style.height = `${this.tall}px`;
    this.draw();
  }
  has(item) { return this.items[lowerBound(this.items, item)] === item; }

  // Rows that fit, and the first of them. More rows than a page can be tall share its pixels.
  get fits() { return Math.ceil(this.scroller.clientHeight / ROW); }
  get lastFirst() { return Math.max(0, this.items.length - Math.floor(this.scroller.clientHeight / ROW)); }
  get first() {
    const way = this.tall - this.scroller.clientHeight;
    return way <= 0 ? 0 : Math.min(this.lastFirst, Math.round((this.scroller.scrollTop / way) * this.lastFirst));
  }
  scrollTo(first) {
    const way = this.tall - this.scroller.clientHeight;
    this.scroller.scrollTop = (Math.min(Math.max(first, 0), this.lastFirst) / Math.max(1, this.lastFirst)) * way;
  }
  later() {
    if (!this.waiting) this.waiting = requestAnimationFrame(() => { this.waiting = 0; this.draw(); });
  }

  draw() {
    const first = this.first, shown = this.items.subarray(first, first + this.fits);
    this.rows.style.transform = `translateY(${Math.max(0, Math.min(this.scroller.scrollTop, this.tall - shown.length * ROW))}px)`;
    this.rows.replaceChildren(...Array.from(shown, (item, i) => this.row(item, first + i)));
    if (this.selected >= 0) this.scroller.setAttribute("aria-activedescendant", this.id + this.selected);
  }
  row(item, place) {
    const row = rowOf(this.data, item, place ? this.items[place - 1] : -1);
    row.id = this.id + item;
    row.dataset.item = item;
    row.setAttribute("role", "option");
    row.setAttribute("aria-selected", this.isSelected(item));
    row.setAttribute("aria-setsize", this.items.length);
    row.setAttribute("aria-posinset", place + 1);
    if (item === this.selected) row.classList.add("current");
    if (this.matches && this.matches[lowerBound(this.matches, item)] === item) row.classList.add("match");
    return row;
  }
  isSelected(item) {
    return this.selected >= 0 && item >= Math.min(this.anchor, this.selected) && item <= Math.max(this.anchor, this.selected);
  }

  // Selects an item, or all from the one selected before to it, and brings it into view.
  select(item, extend = false) {
    if (!extend || this.anchor < 0) this.anchor = item;
    this.selected = item;
    if (item >= 0 && this.has(item)) {
      const place = lowerBound(this.items, item), fits = Math.floor(this.scroller.clientHeight / ROW);
      if (place < this.first) this.scrollTo(this.first - place > 1 ? place - Math.floor(fits / 2) : place);
      else if (place >= this.first + fits) this.scrollTo(place - this.first - fits > 0 ? place - Math.floor(fits / 2) : place - fits + 1);
    }
    this.draw();
  }
  click(event) {
    const row = event.target.closest(".row");
    if (row) this.onPick(Number(row.dataset.item), event.shiftKey);
  }
  key(event) {
    const page = Math.max(1, this.fits - 2);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (!(event.key in steps) || !this.items.length) return;
    const place = this.selected < 0 ? this.first : lowerBound(this.items, this.selected) + steps[event.key];
    this.onPick(this.items[Math.min(Math.max(place, 0), this.items.length - 1)], event.shiftKey);
    event.preventDefault();
  }

  // The lines of all that is selected, of rows that do not exist too.
  copy(event) {
    if (this.selected < 0 || !getSelection().isCollapsed) return;
    const [from, to] = [Math.min(this.anchor, this.selected), Math.max(this.anchor, this.selected)];
    const items = this.items.subarray(lowerBound(this.items, from), lowerBound(this.items, to + 1)).subarray(0, COPIED_MOST);
    event.clipboardData.setData("text/plain", Array.from(items, (item) => `${asLine(this.data, item)}\n`).join(""));
    event.preventDefault();
  }

  // On paper: the last ones.
  printed() {
    const first = Math.max(0, this.items.length - PRINTED), last = this.items.subarray(first);
    const note = `The last ${grouped(last.length)} of ${grouped(this.items.length)} events`;
    const rows = Array.from(last, (item, i) => rowOf(this.data, item, first + i ? this.items[first + i - 1] : -1));
    return make("div", { className: "printed" }, make("h2", { textContent: note }), heading(), make("div", { className: "rows" }, ...rows));
  }
}

const COLUMNS = [["at", "time, s"], ["delta", "since above"], ["core", "core"], ["pid", "pid"], ["flags", "flags"]];
const heading = () => {
  const cells = COLUMNS.map(([className, textContent]) => make("span", { className, textContent }));
  return make("div", { className: "row heading" }, ...cells, make("span", { className: "text", textContent: "event" }));
};
const rowOf = (data, item, above) => {
  const kind = data.kinds[item], { name, loss } = data.about.kinds[kind], line = data.texts.line(item);
  const cells = {
    at: data.clock(data.times[item]), delta: above < 0 ? "" : duration(data.times[item] - data.times[above], "+"),
    core: data.cores[item], pid: loss ? "" : data.pids[item], flags: data.about.contexts[data.contexts[item]],
  };
  const swatch = make("i", { className: swatchClass(data, kind) });
  return make("div", { className: loss ? `row lost-${LOSS_STYLES[loss]}` : "row" },
    ...COLUMNS.map(([className]) => make("span", { className, textContent: cells[className] })), swatch,
    make("span", { className: "name", textContent: name }), make("span", { className: "text", textContent: line.slice(name.length + 2) }));
};
const swatchClass = ({ about, slots }, kind) => {
  const { loss } = about.kinds[kind];
  return loss ? `swatch ${LOSS_STYLES[loss]}` : `swatch k${slots[kind]}`;
};
const asLine = (data, item) => `${data.clock(data.times[item])} [${String(data.cores[item]).padStart(3, "0")}] ${data.about.contexts[data.contexts[item]]} ${data.pids[item]} ${data.texts.line(item)}`;
