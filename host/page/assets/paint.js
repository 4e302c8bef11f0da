// Draws a time line: far out each pixel is a stack of how many events of which colour it holds, near by each event stands
// for itself, with its name and what it says as far as there is room.

const FONT = '11px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace', LOSS_LEAST = 6, TICK = 20, SPAN = 7;

const coloursOf = (element) => {
  const style = getComputedStyle(element), of = (name) => style.getPropertyValue(`--${name}`).trim();
  const named = ["ink", "faint", "line", "back", "panel", "bad", "select", "damage", "unfinished", "missed", "match"];
  return { ...Object.fromEntries(named.map((name) => [name, of(name)])), slots: Array.from({ length: SLOTS }, (_, slot) => of(`k${slot}`)) };
};

// Damage is hatched, what was being written is dotted, what the writer dropped is barred: told apart without colours too.
const LOSS_STYLES = { stale: "damage", flipped: "damage", page: "damage", unfinished: "unfinished", missed: "missed" };
const lossOf = ({ about, kinds }, item) => LOSS_STYLES[about.kinds[kinds[item]].loss];

const paint = (timeline) => {
  const { data, canvas, width, height, colours } = timeline, context = canvas.getContext("2d");
  context.clearRect(0, 0, width, height);
  context.font = FONT;
  timeline.character ??= context.measureText("0").width;
  context.textBaseline = "alphabetic";
  paintAxis(context, timeline);
  const ranges = data.lanes.map(({ times }) => {
    const first = lowerBound(times, timeline.view.from);
    return [first, lowerBound(times, timeline.view.to, first)];
  });
  // All lanes alike, so that they can be compared.
  const isFar = ranges.some(([first, end]) => end - first > (width - LABEL) / 3);
  const shares = isFar ? data.lanes.map((lane, core) => countPixels(timeline, lane, ...ranges[core])) : [];
  const most = shares.reduce((most, share) => Math.max(most, share.most), 1);
  data.lanes.forEach((lane, core) => {
    paintLabel(context, timeline, lane, core);
    context.save();
    context.beginPath();
    context.rect(LABEL, core * LANE, width - LABEL, LANE);
    context.clip();
    const base = (core + 1) * LANE - 5;
    paintStandstill(context, timeline, core);
    if (isFar) paintStacks(context, timeline, shares[core], most, base); else paintEvents(context, timeline, lane, ...ranges[core], base);
    paintLosses(context, timeline, lane, core * LANE);
    paintMatches(context, timeline, lane, core);
    context.restore();
  });
  paintSelected(context, timeline);
  paintPanic(context, timeline);
  paintOverview(timeline);
  const seen = ranges.reduce((sum, [first, end]) => sum + end - first, 0);
  timeline.status.textContent = `${duration(timeline.view.to - timeline.view.from)} in view, ${grouped(seen)} events${isFar ? `, at most ${grouped(most)} in a pixel` : ""}`;
  context.fillStyle = colours.line;
  context.fillRect(LABEL - 1, 0, 1, height - AXIS);
};

// Round times, and what they are called.
const paintAxis = (context, { data, view, width, height, colours }) => {
  const span = view.to - view.from, y = height - AXIS, x = (time) => LABEL + ((time - view.from) / span) * (width - LABEL);
  const most = Math.max(2, Math.floor((width - LABEL) / 120));
  let step = 10 ** Math.floor(Math.log10(span / most));
  step *= [1, 2, 5, 10].find((factor) => span / (step * factor) <= most) ?? 10;
  step = Math.max(1, Math.round(step));
  const places = Math.max(0, Math.min(9, 9 - Math.floor(Math.log10(step)))), offset = Number(data.base % BigInt(step));
  context.textAlign = "center";
  for (let t = Math.ceil((view.from + offset) / step) * step - offset; t <= view.to; t += step) {
    if (x(t) < LABEL) continue;
    context.fillStyle = colours.line;
    context.fillRect(Math.round(x(t)), 0, 1, y + 4);
    context.fillStyle = colours.faint;
    const text = data.clock(t);
    if (x(t) > LABEL + 30 && x(t) < width - 40) context.fillText(places < 9 ? text.slice(0, text.length - 9 + places).replace(/\.$/, "") : text, x(t), y + 16);
  }
  context.textAlign = "left";
  context.fillText("s", LABEL - 12, y + 16);
};

const paintLabel = (context, { data, width, colours }, lane, core) => {
  const top = core * LANE, stop = data.stops[core], isBad = stop && !stands(stop);
  context.fillStyle = colours.line;
  context.fillRect(0, top + LANE - 1, width, 1);
  context.fillStyle = data.panic?.core === core ? colours.bad : colours.ink;
  context.fillText(`core ${core}`, 8, top + 20);
  context.fillStyle = isBad ? colours.bad : colours.faint;
  context.fillText(stop ? stop.outcome : "", 8, top + 33);
  context.fillStyle = colours.faint;
  context.fillText(grouped(lane.items.length), 8, top + 46);
};

// How many events of each colour each pixel holds.
const countPixels = (timeline, lane, first, end) => {
  const pixels = timeline.width - LABEL, counts = new Uint32Array(pixels * SLOTS), totals = new Uint32Array(pixels);
  let before = new Uint32Array(SLOTS), after = new Uint32Array(SLOTS), place = first, most = 1;
  tallyAt(lane, first, before);
  for (let pixel = 0; pixel < pixels && place < end; pixel++) {
    const to = lowerBound(lane.times, timeline.time(LABEL + pixel + 1), place, end);
    if (to === place) continue;
    tallyAt(lane, to, after);
    for (let slot = 0; slot < SLOTS; slot++) totals[pixel] += counts[pixel * SLOTS + slot] = after[slot] - before[slot];
    most = Math.max(most, totals[pixel]);
    [before, after, place] = [after, before, to];
  }
  return { pixels, counts, totals, most };
};

// As high as the logarithm of all; the colours share it as they share the number, but each that is there can be seen. Pixels
// are set one by one: a path of thousands of rectangles takes several times as long.
const paintStacks = (context, timeline, { pixels, counts, totals }, most, base) => {
  const tall = LANE - 14, { image, canvas, colours } = stackImage(timeline, pixels, tall), scale = (tall - SLOTS) / Math.log2(1 + most);
  for (let pixel = 0; pixel < pixels; pixel++) {
    const total = totals[pixel];
    if (!total) continue;
    const height = Math.max(2, Math.log2(1 + total) * scale);
    let row = tall - 1;
    for (let slot = 0; slot < SLOTS; slot++) {
      const count = counts[pixel * SLOTS + slot];
      if (!count) continue;
      for (const end = Math.max(-1, row - Math.max(1, Math.round((height * count) / total))); row > end; row--) image[row * pixels + pixel] = colours[slot];
    }
  }
  context.imageSmoothingEnabled = false;
  canvas.getContext("2d").putImageData(timeline.stacks.data, 0, 0);
  context.drawImage(canvas, LABEL, base - tall);
};
// Room for a lane's stacks, emptied; colours as such an image holds them.
const stackImage = (timeline, width, height) => {
  if (timeline.stacks?.canvas.width !== width) {
    const canvas = make("canvas", { width, height }), data = new ImageData(width, height);
    timeline.stacks = { canvas, data, image: new Uint32Array(data.data.buffer) };
  }
  timeline.stacks.image.fill(0);
  const colours = timeline.colours.slots.map((colour) => {
    const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
    return new Uint32Array(Uint8Array.of(red, green, blue, 255).buffer)[0];
  });
  return { ...timeline.stacks, colours };
};

const paintEvents = (context, timeline, lane, first, end, base) => {
  const { data, hidden, colours, selected } = timeline;
  paintSpans(context, timeline, lane, first, end, base);
  let free = 0;
  for (let place = first; place < end; place++) {
    const item = lane.items[place], kind = data.kinds[item], slot = lane.slots[place];
    if (slot === NO_SLOT) continue;
    const x = timeline.x(lane.times[place]), chosen = item === selected;
    context.fillStyle = colours.slots[slot];
    context.fillRect(x - 0.75, base - TICK, chosen ? 3 : 1.5, TICK);
    let behind = place + 1;
    while (behind < end && lane.slots[behind] === NO_SLOT && hidden.has(data.kinds[lane.items[behind]])) behind++;
    const room = (behind < lane.items.length ? timeline.x(lane.times[behind]) : timeline.width) - x - 6;
    if (room < 30 || x < free) continue;
    free = x + paintName(context, timeline, item, kind, x, base, room);
  }
};
// The name above, what the event says below, as far as there is room. How much of it they took.
const paintName = (context, { data, colours, character }, item, kind, x, base, room) => {
  const { name } = data.about.kinds[kind], said = data.texts.line(item).slice(name.length + 2), most = Math.floor((room - 4) / character);
  const fit = (text) => (text.length <= most ? text : most > 3 ? `${text.slice(0, most - 1)}\u2026` : "");
  context.fillStyle = colours.ink;
  context.fillText(fit(name), x + 1, base - TICK - 4);
  context.fillStyle = colours.faint;
  context.fillText(fit(said), x + 4, base - TICK + 9);
  return Math.min(room, Math.max(name.length, said.length) * character);
};

// From an entry to its exit, whichever of them is in view, and those around all of it.
const paintSpans = (context, timeline, lane, first, end, base) => {
  const { data, colours } = timeline, entries = new Set();
  for (let place = first; place < end; place++) {
    const partner = lane.partner[place];
    if (partner >= 0) entries.add(Math.min(place, partner));
  }
  for (let outer = lane.outer[Math.min(first, lane.outer.length - 1)] ?? -1; outer >= 0; outer = lane.outer[outer]) entries.add(outer);
  for (const entry of entries) {
    const exit = lane.partner[entry], slot = lane.slots[entry];
    if (exit < 0 || slot === NO_SLOT) continue;
    const from = Math.max(timeline.x(lane.times[entry]), LABEL - 2);
    const to = exit < lane.times.length ? timeline.x(lane.times[exit]) : timeline.x(data.last);
    let depth = 0;
    for (let outer = lane.outer[entry]; outer >= 0 && depth < 2; outer = lane.outer[outer]) if (lane.partner[outer] >= 0) depth++;
    context.fillStyle = colours.slots[slot];
    context.globalAlpha = 0.45;
    context.fillRect(from, base - SPAN + depth * 2, Math.max(1, Math.min(to, timeline.width) - from), SPAN - depth * 2);
    context.globalAlpha = 1;
  }
};

// From the item before a loss to the one behind it, at least wide enough to be seen. What was being written was one event.
const lossExtent = (timeline, lane, place) => {
  const x = timeline.x(lane.times[place]), next = place + 1 < lane.times.length ? timeline.x(lane.times[place + 1]) : x;
  return [x, lossOf(timeline.data, lane.items[place]) === "unfinished" ? LOSS_LEAST : Math.max(LOSS_LEAST, next - x)];
};
const paintLosses = (context, timeline, lane, top) => {
  const { data, hidden, colours } = timeline;
  let from = lowerBound(lane.losses, lowerBound(lane.times, timeline.view.from) - 1), drawn = -Infinity;
  for (let i = Math.max(0, from); i < lane.losses.length; i++) {
    const item = lane.items[lane.losses[i]], [x, width] = lossExtent(timeline, lane, lane.losses[i]);
    if (x > timeline.width) break;
    if (x + width < drawn + 2 || hidden.has(data.kinds[item])) continue;
    drawn = x + width;
    const left = Math.max(x, LABEL - 8), style = lossOf(data, item);
    pattern(context, style, colours[style], left, top + 2, Math.min(drawn, timeline.width + 8) - left, LANE - 7, item === timeline.selected);
  }
};
const pattern = (context, style, colour, left, top, wide, height, chosen) => {
  // Lines between pixels would be smeared over two.
  const x = Math.round(left) + 0.5, y = top + 0.5, width = Math.round(wide);
  context.save();
  context.strokeStyle = context.fillStyle = colour;
  context.lineWidth = chosen ? 2.5 : 1;
  context.globalAlpha = 0.15;
  context.fillRect(x, y, width, height);
  context.globalAlpha = 1;
  context.beginPath();
  context.rect(x, y, width, height);
  if (style === "unfinished") context.setLineDash([2, 2]);
  context.stroke();
  context.clip();
  context.beginPath();
  if (style === "damage") for (let at = x - height; at < x + width; at += 6) { context.moveTo(at, y + height); context.lineTo(at + height, y); }
  if (style === "missed") for (let at = x + 3; at < x + width; at += 4) { context.moveTo(at, y + 6); context.lineTo(at, y + height - 6); }
  context.stroke();
  if (style === "unfinished") for (let at = x + 2; at < x + width; at += 5) for (let down = y + 4; down < y + height; down += 6) context.fillRect(at, down, 1.5, 1.5);
  context.restore();
};

// A core that stands still: nothing can come any more.
const paintStandstill = (context, timeline, core) => {
  const { data, colours } = timeline, stop = data.stops[core], top = core * LANE;
  if (!stop) return;
  const x = stands(stop) ? timeline.x(stop.at) : LABEL;
  if (stop.outcome === "no answer" || x > timeline.width) return;
  context.fillStyle = colours.panel;
  context.fillRect(x, top, timeline.width - x, LANE - 1);
  if (!stands(stop)) return;
  context.fillStyle = colours.ink;
  context.fillRect(x - 1, top + 6, 2, LANE - 11);
  context.fillRect(x - 4, top + 6, 8, 3);
};

const paintPanic = (context, timeline) => {
  const { panic } = timeline.data;
  if (!panic) return;
  const x = timeline.x(panic.at);
  if (x < LABEL || x > timeline.width) return;
  context.fillStyle = timeline.colours.bad;
  context.fillRect(x - 0.75, 0, 1.5, timeline.height - AXIS);
  const y = panic.core * LANE + 12, left = x + 50 > timeline.width, text = "panic";
  context.textAlign = left ? "right" : "left";
  context.fillText(text, x + (left ? -5 : 5), y);
  context.textAlign = "left";
};

// What a search found: marks on the upper edge.
const paintMatches = (context, timeline, lane, core) => {
  const { matches, data } = timeline;
  if (!matches || matches.length > 20000) return;
  context.fillStyle = timeline.colours.match;
  let drawn = -Infinity;
  for (const item of matches) {
    if (data.cores[item] !== core) continue;
    const x = timeline.x(data.times[item]);
    if (x < LABEL || x > timeline.width || x < drawn + 1) continue;
    drawn = x;
    context.fillRect(x - 1.5, core * LANE, 3, 4);
  }
};

const paintSelected = (context, timeline) => {
  const { selected, data, colours } = timeline;
  if (selected < 0) return;
  const x = timeline.x(data.times[selected]), top = data.cores[selected] * LANE;
  if (x < LABEL || x > timeline.width) return;
  context.fillStyle = colours.ink;
  context.globalAlpha = 0.5;
  context.fillRect(x - 0.5, 0, 1, timeline.height - AXIS);
  context.globalAlpha = 1;
  context.beginPath();
  context.moveTo(x - 5, top);
  context.lineTo(x + 5, top);
  context.lineTo(x, top + 7);
  context.fill();
};

const overviewCounts = (timeline) => {
  const counts = new Float64Array(timeline.width), before = new Uint32Array(SLOTS), sum = (tally) => tally.reduce((a, b) => a + b, 0);
  for (const lane of timeline.data.lanes) {
    let from = 0, had = 0;
    for (let x = LABEL; x < timeline.width; x++) {
      from = lowerBound(lane.times, timeline.time(x + 1, timeline.full), from);
      tallyAt(lane, from, before);
      const has = sum(before);
      counts[x] += has - had;
      had = has;
    }
  }
  return counts;
};
const paintOverview = (timeline) => {
  const { data, width, colours, overview, full, view } = timeline, context = overview.getContext("2d");
  context.clearRect(0, 0, width, OVERVIEW);
  const counts = (timeline.overviewCounts ??= overviewCounts(timeline));
  const most = Math.log2(1 + counts.reduce((a, b) => Math.max(a, b), 1));
  context.fillStyle = colours.faint;
  context.beginPath();
  for (let x = LABEL; x < width; x++) {
    const height = (Math.log2(1 + counts[x]) / most) * (OVERVIEW - 9);
    if (height) context.rect(x, OVERVIEW - height, 1, height);
  }
  context.fill();
  const mark = (time, colour, tall) => { context.fillStyle = colour; context.fillRect(timeline.x(time, full) - 1, 0, 2, tall); };
  for (const lane of data.lanes) for (const place of lane.losses.slice(0, 2000)) mark(lane.times[place], colours[lossOf(data, lane.items[place])], 7);
  if (timeline.matches && timeline.matches.length < 5000) for (const item of timeline.matches) mark(data.times[item], colours.match, 4);
  if (data.panic) mark(data.panic.at, colours.bad, OVERVIEW);
  const from = timeline.x(view.from, full), to = timeline.x(view.to, full);
  context.fillStyle = colours.back;
  context.globalAlpha = 0.6;
  context.fillRect(LABEL, 0, from - LABEL, OVERVIEW);
  context.fillRect(to, 0, width - to, OVERVIEW);
  context.globalAlpha = 1;
  context.strokeStyle = colours.ink;
  context.strokeRect(from + 0.5, 0.5, Math.max(2, to - from - 1), OVERVIEW - 1);
};
