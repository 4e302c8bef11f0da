// What events say: shapes with numbers in them (shapes.rs), put together for the rows in view and, once somebody searches,
// in blocks of lines that can be searched as one string each.

const LINES = 4096, SLICE_MS = 12;
const STANDS_FOR = { "\x01": (v) => String(v), "\x02": (v) => v.toString(16), "\x03": (v) => v.toString(16).padStart(8, "0") };

class Texts {
  constructor(about, shapes, numbers, rest) {
    this.shapes = shapes;
    const count = new Uint32Array(about.shapes.length);
    // How many of its shape come before an item: where its numbers are.
    this.before = new Uint32Array(shapes.length);
    for (let i = 0; i < shapes.length; i++) this.before[i] = count[shapes[i]]++;
    const sums = new Sums(numbers);
    this.forms = about.shapes.map(([kind, text], shape) => {
      const [first, ...pieces] = text.split(/(?=[\x01-\x04])/);
      const stands = /^[\x01-\x04]/.test(first ?? "") ? [first, ...pieces] : pieces;
      const { name } = about.kinds[kind];
      return {
        start: `${name}: ${stands.length === pieces.length ? first ?? "" : ""}`,
        own: text === "\x04",
        pieces: text === "\x04" ? [] : stands.map((piece) => ({ show: STANDS_FOR[piece[0]], behind: piece.slice(1), values: sums.read(count[shape]) })),
      };
    });
    this.findOwn(rest);
    this.blocks = new Array(Math.ceil(shapes.length / LINES));
  }

  // Texts of their own stand behind each other; the items that have one, and where it begins.
  findOwn(rest) {
    const items = [];
    for (let i = 0; i < this.shapes.length; i++) if (this.forms[this.shapes[i]].own) items.push(i);
    this.ownItems = Uint32Array.from(items);
    this.ownStarts = new Uint32Array(items.length + 1);
    for (let i = 0, at = 0; i < items.length; i++) this.ownStarts[i + 1] = at = rest.indexOf(10, at) + 1;
    this.rest = rest;
  }
  own(item) {
    const place = lowerBound(this.ownItems, item);
    return LATIN.decode(this.rest.subarray(this.ownStarts[place], this.ownStarts[place + 1] - 1));
  }

  // "name: text".
  line(item) {
    const { start, pieces, own } = this.forms[this.shapes[item]];
    if (own) return start + this.own(item);
    let line = start;
    const place = this.before[item];
    for (const { show, behind, values } of pieces) line += show(values[place]) + behind;
    return line;
  }

  // Lines of a block as one string, and where each begins.
  block(number) {
    return (this.blocks[number] ??= this.join(number * LINES, Math.min(this.shapes.length, (number + 1) * LINES)));
  }
  join(from, to) {
    const lines = new Array(to - from), starts = new Uint32Array(to - from + 1);
    for (let i = from, at = 0; i < to; i++) {
      const line = (lines[i - from] = this.line(i));
      starts[i - from + 1] = at += line.length + 1;
    }
    return { text: lines.join("\n"), starts };
  }

  // All items whose line holds a text, in order; in slices, so that the page stays alive. Null if another search began.
  async find(text) {
    const search = (this.search = {}), found = [];
    let until = performance.now() + SLICE_MS;
    for (let number = 0; number < this.blocks.length; number++) {
      this.findIn(number, text, found);
      if (performance.now() < until) continue;
      await new Promise((resume) => setTimeout(resume));
      if (search !== this.search) return null;
      until = performance.now() + SLICE_MS;
    }
    return search === this.search ? Uint32Array.from(found) : null;
  }
  findIn(number, wanted, found) {
    const { text, starts } = this.block(number);
    for (let at = text.indexOf(wanted); at >= 0;) {
      const line = lowerBound(starts, at + 1) - 1;
      found.push(number * LINES + line);
      at = line + 2 < starts.length ? text.indexOf(wanted, starts[line + 1]) : -1;
    }
  }
  stopSearch() { this.search = null; }
}

const LATIN = new TextDecoder("latin1");
