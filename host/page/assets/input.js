// Moves a time line by wheel, pointer, fingers and keys.

const listen = (timeline) => {
  listenToWheel(timeline);
  listenToPointers(timeline);
  listenToOverview(timeline);
  timeline.canvas.addEventListener("keydown", (event) => {
    const action = event.ctrlKey || event.metaKey || event.altKey ? null : keys[event.key];
    if (!action) return;
    action(timeline);
    event.preventDefault();
  });
};

const pickAndZoom = (timeline) => { if (timeline.selected >= 0) timeline.zoomTo(timeline.selected); };
const pickNeighbour = (timeline, step) => { const item = timeline.neighbour(step); if (item >= 0) timeline.onPick(item); };
const keys = {
  ArrowLeft: (timeline) => timeline.move(-0.15),
  ArrowRight: (timeline) => timeline.move(0.15),
  "+": (timeline) => timeline.zoom(0.5),
  "=": (timeline) => timeline.zoom(0.5),
  "-": (timeline) => timeline.zoom(2),
  0: (timeline) => timeline.showAll(),
  Home: (timeline) => timeline.moveTo(timeline.full.from),
  End: (timeline) => timeline.moveTo(timeline.full.to),
  ",": (timeline) => pickNeighbour(timeline, -1),
  ".": (timeline) => pickNeighbour(timeline, 1),
  Enter: pickAndZoom,
};

// A touchpad's pinch comes as a wheel with ctrl.
const listenToWheel = (timeline) => {
  timeline.canvas.addEventListener("wheel", (event) => {
    const pixels = event.deltaMode === 1 ? 16 : 1;
    if (event.shiftKey || (!event.ctrlKey && Math.abs(event.deltaX) > Math.abs(event.deltaY))) {
      timeline.move(((event.deltaX || event.deltaY) * pixels) / timeline.width);
    } else {
      timeline.zoom((event.ctrlKey ? 1.01 : 1.0015) ** (event.deltaY * pixels), Math.max(event.offsetX, LABEL));
    }
    event.preventDefault();
  }, { passive: false });
};

// One pointer drags and picks, two pinch.
const listenToPointers = (timeline) => {
  const { canvas } = timeline, pointers = new Map();
  let drag = null;
  const begin = () => {
    const xs = [...pointers.values()];
    drag = { xs, times: xs.map((x) => timeline.time(x)), moved: drag?.moved ?? false };
  };
  canvas.addEventListener("pointerdown", (event) => {
    pointers.set(event.pointerId, event.offsetX);
    canvas.setPointerCapture(event.pointerId);
    begin();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!pointers.has(event.pointerId)) return hover(timeline, event);
    pointers.set(event.pointerId, event.offsetX);
    const xs = [...pointers.values()];
    drag.moved ||= xs.some((x, i) => Math.abs(x - drag.xs[i]) > 3);
    if (drag.moved) follow(timeline, xs, drag.times);
  });
  const end = (event) => {
    const isClick = event.type === "pointerup" && drag && !drag.moved && pointers.size === 1;
    pointers.delete(event.pointerId);
    if (pointers.size) begin(); else drag = null;
    const item = isClick ? timeline.at(event.offsetX, event.offsetY) : -1;
    if (item >= 0) timeline.onPick(item);
  };
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", end);
  canvas.addEventListener("pointerleave", () => { timeline.tip.hidden = true; });
  canvas.addEventListener("dblclick", (event) => timeline.zoom(0.25, event.offsetX));
};

// The times that were under the fingers stay there.
const follow = (timeline, xs, times) => {
  const { from, to } = timeline.view, share = (x) => (x - LABEL) / (timeline.width - LABEL);
  let span = to - from;
  if (xs.length > 1 && Math.abs(xs[1] - xs[0]) > 4) span = Math.abs((times[1] - times[0]) / (share(xs[1]) - share(xs[0])));
  const start = times[0] - share(xs[0]) * span;
  timeline.show(start, start + span);
};

const listenToOverview = (timeline) => {
  const centre = (event) => {
    if (event.buttons !== 1) return;
    const at = timeline.time(event.offsetX, timeline.full), half = (timeline.view.to - timeline.view.from) / 2;
    timeline.show(at - half, at + half);
  };
  timeline.overview.addEventListener("pointerdown", (event) => { timeline.overview.setPointerCapture(event.pointerId); centre(event); });
  timeline.overview.addEventListener("pointermove", centre);
};

const hover = (timeline, { offsetX, offsetY }) => {
  const { tip, width } = timeline, item = timeline.at(offsetX, offsetY);
  tip.hidden = item < 0;
  if (item < 0) return;
  tip.textContent = described(timeline, item);
  tip.style.left = `${Math.max(0, Math.min(offsetX + 14, width - tip.offsetWidth - 4))}px`;
  tip.style.top = `${offsetY + OVERVIEW + 18}px`;
};

// An item in words, and how far from the panic and from what is picked.
const described = ({ data, selected }, item) => {
  const at = data.times[item], lane = data.lanes[data.cores[item]], partner = lane.partner[data.places[item]];
  const lines = [`${data.clock(at)} s   core ${data.cores[item]}`, data.texts.line(item).slice(0, 400)];
  if (partner >= 0 && partner < lane.times.length) lines.push(`${duration(Math.abs(data.times[lane.items[partner]] - at))} from entry to exit`);
  if (partner === lane.times.length) lines.push("without its exit");
  if (data.panic) lines.push(`${duration(at - data.panic.at, "+")} from the panic`);
  if (selected >= 0 && selected !== item) lines.push(`${duration(at - data.times[selected], "+")} from the selected one`);
  return lines.join("\n");
};
