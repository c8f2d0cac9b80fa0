// The usage of a day: what came down above the line, what went up below it, a bar for each half hour.

import { h, s } from "./dom.js";
import { bytes, clock, t } from "./text.js";

const WIDTH = 640;
const HEIGHT = 170;
const TOP = 18;
const BOTTOM = 22;

/** A figure with plot, legend and what it is about. */
export function plot(usage) {
  const count = usage.download.length;
  const peakDown = Math.max(...usage.download);
  const peakUp = Math.max(...usage.upload);
  const room = HEIGHT - TOP - BOTTOM;
  // One scale for both directions; each gets the part of the height that it needs.
  const scale = room / Math.max(1, peakDown + peakUp);
  const zero = TOP + (peakDown + peakUp > 0 ? peakDown * scale : room);
  const wide = WIDTH / count;
  const start = new Date(usage.start).getTime() / 1000;
  const unknown = Math.min(count, Math.max(0, Math.floor((new Date(usage.recording_since).getTime() / 1000 - start) / usage.step_seconds)));
  const down = sum(usage.download);
  const up = sum(usage.upload);
  const label = t("plot-label", { down: bytes(down), up: bytes(up) });

  const bars = [];
  for (let at = 0; at < count; at += 1) {
    const title = () => s("title", {}, `${clock(new Date((start + at * usage.step_seconds) * 1000))}: ↓ ${bytes(usage.download[at])}, ↑ ${bytes(usage.upload[at])}`);
    const x = at * wide + wide * 0.12;
    for (const [name, value, up_] of [["download", usage.download[at], true], ["upload", usage.upload[at], false]]) {
      if (!value) continue;
      const tall = Math.max(1.5, value * scale);
      bars.push(s("rect", { class: name, x: x.toFixed(1), width: (wide * 0.76).toFixed(1), y: (up_ ? zero - tall : zero).toFixed(1), height: tall.toFixed(1), rx: 1.5 }, title()));
    }
  }
  const picture = s(
    "svg",
    { class: "plot", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label },
    unknown > 0 && s("rect", { class: "unknown", x: 0, y: TOP, width: (unknown * wide).toFixed(1), height: room, rx: 4 }),
    unknown > 8 && s("text", { x: ((unknown * wide) / 2).toFixed(1), y: TOP + room / 2 + 4, "text-anchor": "middle" }, t("plot-unknown")),
    s("line", { class: "axis", x1: 0, x2: WIDTH, y1: zero.toFixed(1), y2: zero.toFixed(1) }),
    bars,
    peakDown + peakUp > 0 && s("text", { x: 0, y: 11 }, t("plot-peak", { peak: bytes(Math.max(peakDown, peakUp)) })),
    s("text", { x: 0, y: HEIGHT - 6 }, clock(usage.start)),
    s("text", { x: WIDTH, y: HEIGHT - 6, "text-anchor": "end" }, t("plot-now")),
  );
  return h(
    "figure",
    { class: "stack tight", "data-plot": "" },
    picture,
    h(
      "figcaption",
      { class: "legend small quiet" },
      h("span", {}, h("i", { class: "download" }), t("plot-download", { amount: bytes(down) })),
      h("span", {}, h("i", { class: "upload" }), t("plot-upload", { amount: bytes(up) })),
    ),
    unknown > 0 && h("p", { class: "small quiet" }, t("plot-since", { time: clock(usage.recording_since) })),
  );
}

function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}
