// The time line's view: which span of time is seen, what is picked in it, and where things are. paint.js draws it, input.js
// moves it.

const LANE = 54, AXIS = 24, LABEL = 84, OVERVIEW = 34, LEAST_NS = 100;

class Timeline {
  constructor(data, hidden, onPick) {
    Object.assign(this, { data, hidden, onPick, selected: -1, matches: null, pointer: null });
    const { first, last } = data, room = 0.015 * (last - first) + 500;
    this.full = { from: first - room, to: last + room };
    this.view = { ...this.full };
    this.overview = make("canvas", { className: "overview", title: "all of it; drag moves the view" });
    this.overview.setAttribute("aria-hidden", "true");
    this.canvas = make("canvas", { className: "lanes", tabIndex: 0 });
    this.canvas.setAttribute("role", "application");
    this.canvas.setAttribute("aria-roledescription", "time line");
    this.canvas.setAttribute("aria-label", "Time line of all cores. Left and right move, plus and minus zoom, 0 shows all, comma and full stop pick the event before and after on that core, Enter zooms to it.");
    this.tip = make("div", { className: "tip", hidden: true });
    this.element = make("div", { className: "time" }, this.overview, this.canvas, this.tip);
    this.status = make("span", { className: "status" });
    this.tallyUp();
    listen(this);
    new ResizeObserver(() => { if (!this.onPaper) this.resize(); }).observe(this.element);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.recolour());
  }

  // After a change of what is hidden.
  tallyUp() {
    for (const lane of this.data.lanes) tally(lane, this.data.kinds, this.data.slots, this.hidden);
    this.overviewCounts = null;
    this.later();
  }

  resize(width = this.element.clientWidth, scale = devicePixelRatio || 1) {
    const height = this.data.lanes.length * LANE + AXIS;
    if (!width || (width === this.width && scale === this.scale)) return;
    Object.assign(this, { scale, width, height, overviewCounts: null });
    for (const [canvas, tall] of [[this.canvas, height], [this.overview, OVERVIEW]]) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(tall * scale);
      canvas.style.height = `${tall}px`;
      canvas.getContext("2d").setTransform(scale, 0, 0, scale, 0, 0);
    }
    this.recolour();
  }
  recolour() {
    this.colours = coloursOf(this.element);
    this.draw();
  }
  draw() { if (this.width) paint(this); }

  get nsPerPixel() { return (this.view.to - this.view.from) / (this.width - LABEL); }
  x(time, view = this.view) { return LABEL + ((time - view.from) / (view.to - view.from)) * (this.width - LABEL); }
  time(x, view = this.view) { return view.from + ((x - LABEL) / (this.width - LABEL)) * (view.to - view.from); }

  // Moves the view; nothing is drawn more than once a frame.
  show(from, to) {
    const all = this.full.to - this.full.from, span = Math.min(Math.max(to - from, LEAST_NS), all);
    from = Math.min(Math.max(from, this.full.from), this.full.to - span);
    this.view = { from, to: from + span };
    this.later();
  }
  showAll() { this.show(this.full.from, this.full.to); }
  later() {
    if (this.waiting || !this.width) return;
    this.waiting = requestAnimationFrame(() => { this.waiting = 0; this.draw(); });
  }
  zoom(factor, x = this.middle()) {
    const at = this.time(x), { from, to } = this.view;
    this.show(at - (at - from) * factor, at + (to - at) * factor);
  }
  // Keys zoom to what is picked if it is in view.
  middle() {
    const x = this.selected < 0 ? -1 : this.x(this.data.times[this.selected]);
    return x >= LABEL && x <= this.width ? x : (LABEL + this.width) / 2;
  }
  move(share) {
    const by = (this.view.to - this.view.from) * share;
    this.show(this.view.from + by, this.view.to + by);
  }

  moveTo(from) { this.show(from, from + this.view.to - this.view.from); }

  // Brings an item into view.
  select(item) {
    this.selected = item;
    const at = this.data.times[item], { from, to } = this.view;
    if (item >= 0 && (at < from || at > to)) this.show(at - (to - from) / 2, at + (to - from) / 2); else this.later();
  }
  // So near that its neighbours stand apart.
  zoomTo(item) {
    const { times } = this.laneOf(item), place = this.data.places[item], at = this.data.times[item];
    const near = (by) => Math.abs(times[Math.min(Math.max(place + by, 0), times.length - 1)] - at);
    const half = Math.max(near(-6), near(6), 500);
    this.show(at - half, at + half);
  }
  laneOf(item) { return this.data.lanes[this.data.cores[item]]; }

  // The event before or after on the same core, not one that is hidden.
  neighbour(step) {
    const { data, hidden } = this;
    if (this.selected < 0) return data.n ? 0 : -1;
    const { items } = this.laneOf(this.selected);
    for (let place = data.places[this.selected] + step; place >= 0 && place < items.length; place += step) {
      if (!hidden.has(data.kinds[items[place]])) return items[place];
    }
    return this.selected;
  }

  // The item nearest to a point of its lane within a few pixels; losses are as wide as they are drawn.
  at(x, y) {
    const { data, hidden } = this, lane = data.lanes[Math.floor(y / LANE)];
    if (!lane || !lane.items.length || x < LABEL) return -1;
    const middle = lowerBound(lane.times, this.time(x));
    let best = -1, distance = 7;
    for (let place = Math.max(0, middle - 32); place < Math.min(lane.items.length, middle + 32); place++) {
      const item = lane.items[place], away = Math.abs(this.x(lane.times[place]) - x);
      if (away < distance && !hidden.has(data.kinds[item])) [best, distance] = [item, away];
    }
    if (best >= 0 && distance < 2) return best;
    const loss = this.lossAt(lane, x);
    return loss >= 0 && (best < 0 || y % LANE < LANE - 30) ? loss : best;
  }
  lossAt(lane, x) {
    const near = lowerBound(lane.losses, lowerBound(lane.times, this.time(x) + 1)) - 1;
    for (let i = near + 1; i >= Math.max(0, near - 8); i--) {
      const item = lane.losses[i] === undefined ? -1 : lane.items[lane.losses[i]];
      if (item < 0 || this.hidden.has(this.data.kinds[item])) continue;
      const [from, width] = lossExtent(this, lane, lane.losses[i]);
      if (x >= from - 1 && x <= from + width + 1) return item;
    }
    return -1;
  }
}
