// A lane per core: its items in order, which entry an exit belongs to, and how many of each colour come before any item, so
// that a pixel's share of a million events is two look-ups.

// Colours 0 to 7 are those of the most frequent families of events, 8 is for the rest; hidden and losses have none.
const SLOTS = 9, NO_SLOT = 255, BLOCK = 64;
const family = (name) => name.replace(/_(entry|exit)$/, "");

const slotsOf = (kinds, perKind) => {
  const counts = new Map();
  kinds.forEach(({ name, loss }, kind) => { if (!loss) counts.set(family(name), (counts.get(family(name)) ?? 0) + perKind[kind]); });
  const ranked = [...counts].sort((a, b) => b[1] - a[1]).map(([name]) => name);
  return kinds.map(({ name, loss }) => (loss ? NO_SLOT : Math.min(ranked.indexOf(family(name)), SLOTS - 1)));
};

const lanesOf = ({ about, n, cores, times, kinds, pids }) => {
  const counts = new Uint32Array(about.cores), filled = new Uint32Array(about.cores);
  for (let i = 0; i < n; i++) counts[cores[i]]++;
  const lanes = Array.from(counts, (count) => ({ items: new Uint32Array(count), times: new Float64Array(count), losses: [] }));
  for (let i = 0; i < n; i++) {
    const lane = lanes[cores[i]], place = filled[cores[i]]++;
    lane.items[place] = i;
    // Times that never go back, for searching; what is shown as an event's time is its own.
    lane.times[place] = place ? Math.max(times[i], lane.times[place - 1]) : times[i];
    if (about.kinds[kinds[i]].loss) lane.losses.push(place);
  }
  for (const lane of lanes) pairUp(lane, about.kinds, kinds, pids);
  return lanes;
};

// `partner` of an entry is its exit's place and the reverse; -1 without one, and the lane's end for what was still open then.
// `outer` is the innermost open entry behind which a place stands. A loss ends all that is open: nobody knows what was in it.
const pairUp = (lane, about, kinds, pids) => {
  const { items } = lane, open = [];
  const isEntry = about.map(({ name }) => name.endsWith("_entry")), isExit = about.map(({ name }) => name.endsWith("_exit"));
  lane.partner = new Int32Array(items.length).fill(-1);
  lane.outer = new Int32Array(items.length).fill(-1);
  const isPair = (entry, exit) => {
    const [a, b] = [lane.items[entry], lane.items[exit]];
    return pids[a] === pids[b] && family(about[kinds[a]].name) === family(about[kinds[b]].name);
  };
  for (let place = 0; place < items.length; place++) {
    const kind = kinds[items[place]];
    lane.outer[place] = open.length ? open[open.length - 1] : -1;
    if (about[kind].loss) open.length = 0;
    else if (isEntry[kind]) open.push(place);
    else if (isExit[kind]) {
      const depth = open.findLastIndex((entry) => isPair(entry, place));
      if (depth >= 0) {
        [lane.partner[open[depth]], lane.partner[place]] = [place, open[depth]];
        open.length = depth;
      }
    }
  }
  for (const entry of open) lane.partner[entry] = items.length;
};

// How many of each colour come before every 64th item; what is hidden counts as nothing.
const tally = (lane, kinds, slots, hidden) => {
  const { items } = lane;
  lane.slots = new Uint8Array(items.length);
  lane.tally = new Uint32Array((Math.floor(items.length / BLOCK) + 1) * SLOTS);
  const now = new Uint32Array(SLOTS);
  for (let place = 0; place < items.length; place++) {
    if (place % BLOCK === 0) lane.tally.set(now, (place / BLOCK) * SLOTS);
    const kind = kinds[items[place]], slot = (lane.slots[place] = hidden.has(kind) ? NO_SLOT : slots[kind]);
    if (slot !== NO_SLOT) now[slot]++;
  }
  if (items.length % BLOCK === 0) lane.tally.set(now, (items.length / BLOCK) * SLOTS);
};

// The same before any item.
const tallyAt = (lane, place, into) => {
  const block = Math.floor(place / BLOCK), from = block * SLOTS;
  for (let slot = 0; slot < SLOTS; slot++) into[slot] = lane.tally[from + slot];
  for (let i = block * BLOCK; i < place; i++) if (lane.slots[i] !== NO_SLOT) into[lane.slots[i]]++;
};
