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

// Reads zigzag LEB128 sums: each value is the one before plus what stands there. Exact up to 2^53.
class Sums {
  constructor(bytes) { Object.assign(this, { bytes, at: 0 }); }
  read(count, into = new Float64Array(count)) {
    const { bytes } = this;
    let { at } = this, now = 0;
    for (let i = 0; i < count; i++) {
      let byte = bytes[at++], value = byte & 0x7f;
      for (let scale = 128; byte & 0x80; scale *= 128) {
        byte = bytes[at++];
        value += (byte & 0x7f) * scale;
      }
      now += value % 2 ? -(value + 1) / 2 : value / 2;
      into[i] = now;
    }
    this.at = at;
    return into;
  }
}

// A trace: times in nanoseconds since its start (2^53 of them are 104 days), the rest as told.
const load = async (number) => {
  const about = JSON.parse(byId(`about${number}`).textContent);
  const element = byId(`columns${number}`);
  const all = await inflate(fromBase64(element.textContent));
  element.remove();
  const n = about.count;
  let at = 0;
  const take = (size) => all.slice(at, (at += size));
  const times = new Sums(take(about.times)).read(n);
  const cores = new Uint16Array(take(2 * n).buffer);
  const shapes = new Uint16Array(take(2 * n).buffer);
  const contexts = take(n), pids = new Int32Array(take(4 * n).buffer);
  const texts = new Texts(about, shapes, take(about.numbers), all.subarray(at));
  const kinds = new Uint16Array(n), kindOf = Uint16Array.from(about.shapes, ([kind]) => kind);
  const perKind = new Uint32Array(about.kinds.length);
  for (let i = 0; i < n; i++) perKind[(kinds[i] = kindOf[shapes[i]])]++;

  const base = BigInt(about.start), since = (mark) => mark && { ...mark, at: Number(BigInt(mark.time) - base) };
  const stops = about.stops.map(since), panic = since(about.panic);
  const data = { about, n, times, cores, kinds, contexts, pids, texts, perKind, stops, panic, base };
  data.slots = slotsOf(about.kinds, perKind);
  data.lanes = lanesOf(data);
  // From the first to the last moment of which anything is told.
  const moments = stops.filter((stop) => stop && stands(stop)).concat(panic ?? []).map((mark) => mark.at);
  data.first = Math.min(...data.lanes.map((lane) => lane.times[0] ?? Infinity), ...moments, n ? Infinity : 0);
  data.last = Math.max(...data.lanes.map((lane) => lane.times[lane.times.length - 1] ?? -Infinity), ...moments, data.first);
  // Where each item stands in its lane.
  data.places = new Uint32Array(n);
  for (const { items } of data.lanes) for (let place = 0; place < items.length; place++) data.places[items[place]] = place;
  // Seconds with nine places, exact.
  data.clock = (ns) => {
    const t = base + BigInt(Math.round(ns)), size = t < 0n ? -t : t;
    return `${t < 0n ? "-" : ""}${size / 1000000000n}.${String(size % 1000000000n).padStart(9, "0")}`;
  };
  return data;
};

// Whether a core's stop has a time of its own; of one that did not answer it is how long it was waited for.
const stands = ({ outcome }) => outcome === "stopped" || outcome === "panicked";

// The first place in sorted values that is not below a value.
const lowerBound = (values, value, from = 0, to = values.length) => {
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (values[middle] < value) from = middle + 1; else to = middle;
  }
  return from;
};

const grouped = (number) => number.toLocaleString("en");

// A span of time, with its sign if it is a difference.
const duration = (ns, sign = "") => {
  const size = Math.abs(ns), mark = ns < 0 ? "-" : sign;
  if (size < 1e3) return `${mark}${Math.round(size)} ns`;
  if (size < 1e6) return `${mark}${(size / 1e3).toFixed(3)} us`;
  if (size < 1e9) return `${mark}${(size / 1e6).toFixed(3)} ms`;
  return `${mark}${(size / 1e9).toFixed(6)} s`;
};
