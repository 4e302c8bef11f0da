// The columns of a trace: see columns.rs for how they are packed.

const byId = (id) => document.getElementById(id);

// An element with text and children; texts are never markup.
const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

const fromBase64 = (text) => {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
};

const inflate = async (bytes) => {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
};

// Times in nanoseconds since the trace's start: exact, since 2^53 ns are 104 days.
const readTimes = (bytes, count) => {
  const times = new Float64Array(count);
  let at = 0, now = 0;
  for (let i = 0; i < count; i++) {
    let value = 0, scale = 1, byte;
    do {
      byte = bytes[at++];
      value += (byte & 0x7f) * scale;
      scale *= 128;
    } while (byte & 0x80);
    now += value % 2 ? -(value + 1) / 2 : value / 2;
    times[i] = now;
  }
  return times;
};

// Where each line of the texts begins; one more for the end.
const lineStarts = (bytes, count) => {
  const starts = new Uint32Array(count + 1);
  for (let i = 0, at = 0; i < count; i++) {
    at = bytes.indexOf(10, at) + 1;
    starts[i + 1] = at;
  }
  return starts;
};

const load = async (number) => {
  const about = JSON.parse(byId(`about${number}`).textContent);
  const element = byId(`columns${number}`);
  const all = await inflate(fromBase64(element.textContent));
  element.remove();
  const n = about.count;
  let at = 0;
  const take = (size) => all.slice(at, (at += size));
  const times = readTimes(take(about.times), n);
  const cores = new Uint16Array(take(2 * n).buffer);
  const kinds = new Uint16Array(take(2 * n).buffer);
  const contexts = take(n);
  const pids = new Int32Array(take(4 * n).buffer);
  const textBytes = all.subarray(at);
  const starts = lineStarts(textBytes, n);
  const text = new TextDecoder("latin1").decode(textBytes);

  // Of each core: its items, and times that never go back, for searching.
  const counts = new Uint32Array(about.cores);
  for (let i = 0; i < n; i++) counts[cores[i]]++;
  const lanes = Array.from(counts, (count) => ({ items: new Uint32Array(count), times: new Float64Array(count), losses: [] }));
  const filled = new Uint32Array(about.cores);
  for (let i = 0; i < n; i++) {
    const lane = lanes[cores[i]], place = filled[cores[i]]++;
    lane.items[place] = i;
    lane.times[place] = place ? Math.max(times[i], lane.times[place - 1]) : times[i];
    if (about.kinds[kinds[i]].loss) lane.losses.push(place);
  }
  const perKind = new Uint32Array(about.kinds.length);
  for (let i = 0; i < n; i++) perKind[kinds[i]]++;
  const base = BigInt(about.start);
  const since = (mark) => ({ ...mark, at: Number(BigInt(mark.time) - base) });
  const stops = about.stops.map(since), panic = about.panic && since(about.panic);
  let last = n ? times[n - 1] : 0;
  for (const mark of [...stops, ...(panic ? [panic] : [])]) last = Math.max(last, mark.at);
  return {
    about, n, times, cores, kinds, contexts, pids, text, starts, lanes, perKind, stops, panic, base, last,
    lineOf: (i) => text.slice(starts[i], starts[i + 1] - 1),
    // Seconds with nine places, exact.
    clock: (ns) => {
      const t = base + BigInt(Math.round(ns));
      return `${t / 1000000000n}.${String(t % 1000000000n).padStart(9, "0")}`;
    },
  };
};

// The first place in sorted values that is not below a value.
const lowerBound = (values, value, from = 0, to = values.length) => {
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (values[middle] < value) from = middle + 1; else to = middle;
  }
  return from;
};

// Okabe and Ito's colours: told apart by everybody, readable on light and dark.
const PALETTE = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#b8a000", "#8c6bb1", "#7f7f7f"];
const LOSS_COLOURS = { stale: "#d55e00", flipped: "#d55e00", page: "#d55e00", unfinished: "#b8860b", missed: "#7a5195" };
const colourOf = (about, kind) => {
  const { loss } = about.kinds[kind];
  return loss ? LOSS_COLOURS[loss] : PALETTE[kind % PALETTE.length];
};
