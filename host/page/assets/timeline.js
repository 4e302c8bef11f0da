// The time line: a lane per core. Far out each pixel shows how many items it holds, near by each item stands for itself.

const LANE = 46, AXIS = 22, LABEL = 64, OVERVIEW = 30;

class Timeline {
  constructor(data, hidden, onPick) {
    Object.assign(this, { data, hidden, onPick, selected: -1 });
    this.full = { from: -0.02 * data.last - 500, to: 1.02 * data.last + 500 };
    this.view = { ...this.full };
    this.overview = make("canvas", { className: "overview", title: "all of it: drag to move" });
    this.canvas = make("canvas", { className: "timeline", tabIndex: 0 });
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", "Time line of all cores. Arrow keys move, plus and minus zoom, 0 shows all of it.");
    this.tip = make("div", { className: "tip", hidden: true });
    this.element = make("div", { className: "time" }, this.overview, this.canvas, this.tip);
    this.listen();
    new ResizeObserver(() => this.resize()).observe(this.element);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  resize() {
    const scale = devicePixelRatio || 1;
    this.width = this.element.clientWidth;
    this.counts = null;
    this.height = this.data.lanes.length * LANE + AXIS;
    for (const [canvas, height] of [[this.canvas, this.height], [this.overview, OVERVIEW]]) {
      canvas.width = this.width * scale;
      canvas.height = height * scale;
      canvas.style.height = `${height}px`;
      canvas.getContext("2d").setTransform(scale, 0, 0, scale, 0, 0);
    }
    this.draw();
  }

  x(time, view = this.view) { return LABEL + ((time - view.from) / (view.to - view.from)) * (this.width - LABEL); }
  time(x, view = this.view) { return view.from + ((x - LABEL) / (this.width - LABEL)) * (view.to - view.from); }

  // Moves the view; nothing is drawn more than once a frame.
  show(from, to) {
    const least = 200, span = Math.min(Math.max(to - from, least), this.full.to - this.full.from);
    from = Math.min(Math.max(from, this.full.from), this.full.to - span);
    this.view = { from, to: from + span };
    this.later();
  }
  later() {
    if (!this.waiting) this.waiting = requestAnimationFrame(() => { this.waiting = 0; this.draw(); });
  }
  zoom(factor, x = (LABEL + this.width) / 2) {
    const at = this.time(x), { from, to } = this.view;
    this.show(at - (at - from) * factor, at + (to - at) * factor);
  }
  move(share) {
    const by = (this.view.to - this.view.from) * share;
    this.show(this.view.from + by, this.view.to + by);
  }
  // Brings an item into view.
  select(item) {
    this.selected = item;
    const at = this.data.times[item], { from, to } = this.view;
    if (at < from || at > to) this.show(at - (to - from) / 2, at + (to - from) / 2); else this.later();
  }

  draw() {
    if (!this.width) return;
    const style = getComputedStyle(this.element);
    this.colours = Object.fromEntries(["ink", "faint", "line", "back", "density", "bad"].map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, this.width, this.height);
    context.font = "11px system-ui, sans-serif";
    this.axis(context);
    this.data.lanes.forEach((lane, core) => this.lane(context, lane, core));
    this.marks(context);
    this.drawOverview();
  }

  axis(context) {
    const span = this.view.to - this.view.from, y = this.height - AXIS;
    let step = 10 ** Math.floor(Math.log10(span / 4));
    for (const factor of [1, 2, 5]) if (span / (step * factor) <= 9) { step *= factor; break; }
    const places = Math.max(0, Math.min(9, 9 - Math.floor(Math.log10(step))));
    const offset = Number(this.data.base % BigInt(Math.max(1, Math.round(step))));
    context.textAlign = "center";
    for (let t = Math.ceil((this.view.from + offset) / step) * step - offset; t <= this.view.to; t += step) {
      const x = this.x(t);
      if (x < LABEL) continue;
      context.fillStyle = this.colours.line;
      context.fillRect(x, 0, 1, y);
      context.fillStyle = this.colours.faint;
      const text = this.data.base + BigInt(Math.round(t)) < 0n ? "" : this.data.clock(t);
      context.fillText(places < 9 ? text.slice(0, text.length - 9 + places) : text, x, y + 15);
    }
    context.textAlign = "left";
  }

  lane(context, lane, core) {
    const top = core * LANE, base = top + LANE - 8;
    context.fillStyle = this.colours.line;
    context.fillRect(0, top + LANE - 1, this.width, 1);
    context.fillStyle = this.colours.ink;
    context.fillText(`core ${core}`, 6, top + LANE / 2);
    context.fillStyle = this.colours.faint;
    context.fillText(lane.items.length.toLocaleString("en"), 6, top + LANE / 2 + 13);
    const first = lowerBound(lane.times, this.view.from), end = lowerBound(lane.times, this.view.to, first);
    context.save();
    context.beginPath();
    context.rect(LABEL, top, this.width - LABEL, LANE);
    context.clip();
    if (end - first > 2 * (this.width - LABEL)) this.density(context, lane, base); else this.singles(context, lane, first, end, base);
    this.losses(context, lane, top);
    context.restore();
  }

  // Two binary searches a pixel, however many items there are.
  density(context, lane, base) {
    const most = Math.log2(2 + (4 * lane.items.length) / (this.width - LABEL));
    context.fillStyle = this.colours.density;
    let from = lowerBound(lane.times, this.view.from);
    for (let x = LABEL; x < this.width; x++) {
      const to = lowerBound(lane.times, this.time(x + 1), from);
      if (to > from) {
        const height = Math.min(1, Math.log2(1 + to - from) / most) * (LANE - 14);
        context.fillRect(x, base - height, 1, height);
      }
      from = to;
    }
  }

  singles(context, lane, first, end, base) {
    const { kinds, about } = this.data, open = new Map();
    let free = 0;
    for (let place = first; place < end; place++) {
      const item = lane.items[place], kind = kinds[item], { name, loss } = about.kinds[kind];
      if (loss || this.hidden.has(kind)) continue;
      const x = this.x(lane.times[place]), chosen = item === this.selected;
      this.span(context, open, name, x, base, kind);
      context.fillStyle = colourOf(about, kind);
      context.fillRect(x - (chosen ? 2 : 0.75), base - (chosen ? 30 : 18), chosen ? 4 : 1.5, chosen ? 30 : 18);
      const next = place + 1 < end ? this.x(lane.times[place + 1]) : this.width;
      if (next - x > 44 && x >= free) {
        const shown = name.slice(0, Math.floor((next - x) / 6));
        context.fillStyle = this.colours.ink;
        context.fillText(shown, x + 2, base - 22);
        free = x + shown.length * 6;
      }
    }
  }

  // From an entry to its exit; an end without a beginning is only itself.
  span(context, open, name, x, base, kind) {
    if (name.endsWith("_entry")) open.set(name.slice(0, -6), x);
    else if (name.endsWith("_exit") && open.has(name.slice(0, -5))) {
      const from = open.get(name.slice(0, -5));
      open.delete(name.slice(0, -5));
      context.fillStyle = colourOf(this.data.about, kind);
      context.globalAlpha = 0.35;
      context.fillRect(from, base - 10, Math.max(1, x - from), 10);
      context.globalAlpha = 1;
    }
  }

  // A hatched block from the item before to the one behind, at least wide enough to be seen.
  losses(context, lane, top) {
    const first = lowerBound(lane.losses, lowerBound(lane.times, this.view.from) - 1);
    let drawn = -Infinity;
    for (let i = Math.max(0, first); i < lane.losses.length; i++) {
      const place = lane.losses[i], x = this.x(lane.times[place]);
      if (x > this.width) break;
      const next = place + 1 < lane.items.length ? this.x(lane.times[place + 1]) : x + 6;
      const width = Math.max(6, Math.min(next, this.width) - x);
      if (x + width < drawn + 2 || this.hidden.has(this.data.kinds[lane.items[place]])) continue;
      drawn = x + width;
      this.hatch(context, x, top + 3, width, LANE - 10, colourOf(this.data.about, this.data.kinds[lane.items[place]]));
    }
  }
  hatch(context, x, y, width, height, colour) {
    context.save();
    context.strokeStyle = context.fillStyle = colour;
    context.globalAlpha = 0.18;
    context.fillRect(x, y, width, height);
    context.globalAlpha = 1;
    context.strokeRect(x + 0.5, y + 0.5, Math.max(1, width - 1), height - 1);
    context.beginPath();
    context.rect(x, y, width, height);
    context.clip();
    context.beginPath();
    for (let at = x - height; at < Math.min(x + width, this.width); at += 5) {
      context.moveTo(at, y + height);
      context.lineTo(at + height, y);
    }
    context.stroke();
    context.restore();
  }

  marks(context) {
    const { panic, stops } = this.data;
    context.fillStyle = context.strokeStyle = this.colours.bad;
    if (panic) {
      const x = this.x(panic.at);
      if (x >= LABEL) {
        context.fillRect(x - 0.75, 0, 1.5, this.height - AXIS);
        this.label(context, "panic", x, panic.core * LANE + 11);
      }
    }
    for (const stop of stops) {
      const x = this.x(stop.at), y = stop.core * LANE + LANE / 2;
      if (x < LABEL || (panic && stop.core === panic.core)) continue;
      context.strokeStyle = this.colours.ink;
      context.strokeRect(x - 3.5, y - 3.5, 7, 7);
      context.fillStyle = this.colours.ink;
      this.label(context, "stopped", x + 3, y + 4);
    }
  }

  // How many items each pixel of the whole holds; it changes with the width only.
  overviewCounts() {
    const counts = new Float64Array(this.width);
    for (const lane of this.data.lanes) {
      let from = 0;
      for (let x = LABEL; x < this.width; x++) {
        const to = lowerBound(lane.times, this.time(x + 1, this.full), from);
        counts[x] += to - from;
        from = to;
      }
    }
    return counts;
  }

  // Beside a mark: to its left where there is no room to its right.
  label(context, text, x, y) {
    const left = x + 50 > this.width;
    context.textAlign = left ? "right" : "left";
    context.fillText(text, left ? x - 8 : x + 4, y);
    context.textAlign = "left";
  }

  drawOverview() {
    const context = this.overview.getContext("2d"), { lanes } = this.data;
    context.clearRect(0, 0, this.width, OVERVIEW);
    const counts = (this.counts ??= this.overviewCounts());
    const most = Math.log2(1 + counts.reduce((a, b) => Math.max(a, b), 1));
    context.fillStyle = this.colours.density;
    for (let x = LABEL; x < this.width; x++) {
      const height = (Math.log2(1 + counts[x]) / most) * (OVERVIEW - 4);
      context.fillRect(x, OVERVIEW - height, 1, height);
    }
    for (const lane of lanes) for (const place of lane.losses.slice(0, 2000)) {
      context.fillStyle = colourOf(this.data.about, this.data.kinds[lane.items[place]]);
      context.fillRect(this.x(lane.times[place], this.full) - 1, 0, 3, 5);
    }
    context.strokeStyle = this.colours.ink;
    const from = this.x(this.view.from, this.full), to = this.x(this.view.to, this.full);
    context.strokeRect(from + 0.5, 0.5, Math.max(2, to - from - 1), OVERVIEW - 1);
  }

  // The item nearest to a point of its lane, within a few pixels.
  at(x, y) {
    const lane = this.data.lanes[Math.floor(y / LANE)];
    if (!lane || !lane.items.length || x < LABEL) return -1;
    const middle = lowerBound(lane.times, this.time(x));
    let best = -1, distance = 7;
    for (let place = Math.max(0, middle - 20); place < Math.min(lane.items.length, middle + 20); place++) {
      const away = Math.abs(this.x(lane.times[place]) - x);
      if (away < distance && !this.hidden.has(this.data.kinds[lane.items[place]])) [best, distance] = [lane.items[place], away];
    }
    return best;
  }

  hover(event) {
    const item = this.at(event.offsetX, event.offsetY), { data } = this;
    this.tip.hidden = item < 0;
    if (item < 0) return;
    this.tip.textContent = `${data.clock(data.times[item])}  core ${data.cores[item]}\n${data.lineOf(item).slice(0, 300)}`;
    this.tip.style.left = `${Math.min(event.offsetX + 12, this.width - 280)}px`;
    this.tip.style.top = `${event.offsetY + OVERVIEW + 18}px`;
  }

  listen() {
    const { canvas, overview } = this;
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && Math.abs(event.deltaX) > Math.abs(event.deltaY)) this.move(event.deltaX / this.width);
      else this.zoom(1.0015 ** event.deltaY, event.offsetX);
      event.preventDefault();
    }, { passive: false });
    let drag = null;
    canvas.addEventListener("pointerdown", (event) => {
      drag = { x: event.offsetX, ...this.view, moved: false };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!drag) return this.hover(event);
      const by = ((drag.x - event.offsetX) / (this.width - LABEL)) * (drag.to - drag.from);
      drag.moved ||= Math.abs(event.offsetX - drag.x) > 3;
      if (drag.moved) this.show(drag.from + by, drag.to + by);
    });
    canvas.addEventListener("pointerup", (event) => {
      const item = drag && !drag.moved ? this.at(event.offsetX, event.offsetY) : -1;
      drag = null;
      if (item >= 0) this.onPick(item);
    });
    canvas.addEventListener("pointerleave", () => { this.tip.hidden = true; });
    const centre = (event) => {
      if (event.buttons !== 1) return;
      const at = this.time(event.offsetX, this.full), half = (this.view.to - this.view.from) / 2;
      this.show(at - half, at + half);
    };
    overview.addEventListener("pointerdown", centre);
    overview.addEventListener("pointermove", centre);
    canvas.addEventListener("keydown", (event) => {
      const keys = {
        ArrowLeft: () => this.move(-0.2), ArrowRight: () => this.move(0.2), "+": () => this.zoom(0.5), "=": () => this.zoom(0.5),
        "-": () => this.zoom(2), 0: () => this.show(this.full.from, this.full.to), Home: () => this.show(this.full.from, this.full.from + this.view.to - this.view.from),
        End: () => this.show(this.full.to - this.view.to + this.view.from, this.full.to),
      };
      if (keys[event.key]) { keys[event.key](); event.preventDefault(); }
    });
  }
}
