// The usage of a day: what came down above the line, what went up below it, a bar for each half hour.

import { h, s } from "./dom.js";
import { bytes, clock, t } from "./text.js";

const HEIGHT = 100;

/** A figure with plot, legend and what it is about. */
export function plot(usage) {
  const count = usage.download.length;
  const above = Math.max(...usage.download);
  const below = Math.max(...usage.upload);
  // One scale for both directions; each gets the part of the height that it needs.
  const scale = HEIGHT / Math.max(1, above + below);
  const zero = above + below > 0 ? above * scale : HEIGHT;
  const start = new Date(usage.start).getTime() / 1000;
  const from = (at) => clock((start + at * usage.step_seconds) * 1000);
  const unknown = Math.min(count, Math.max(0, Math.floor((new Date(usage.recording_since) / 1000 - start) / usage.step_seconds)));
  const down = sum(usage.download);
  const up = sum(usage.upload);

  const bars = usage.download.flatMap((download, at) => {
    const upload = usage.upload[at];
    const title = () => s("title", {}, t("plot-bar", { time: from(at), down: bytes(download), up: bytes(upload) }));
    const bar = (name, y, height) => s("rect", { class: name, x: at + 0.12, width: 0.76, y, height }, title());
    return [
      download > 0 && bar("download", zero - download * scale, download * scale),
      upload > 0 && bar("upload", zero, upload * scale),
    ];
  });
  return h(
    "figure",
    { class: "stack tight", "data-plot": "" },
    above + below > 0 && h("p", { class: "small quiet" }, t("plot-peak", { peak: bytes(Math.max(above, below)) })),
    s(
      "svg",
      {
        class: "plot",
        viewBox: `0 0 ${count} ${HEIGHT}`,
        preserveAspectRatio: "none",
        role: "img",
        "aria-label": t("plot-label", { down: bytes(down), up: bytes(up) }),
      },
      unknown > 0 && s("rect", { class: "unknown", x: 0, y: 0, width: unknown, height: HEIGHT }),
      bars,
      s("line", { class: "axis", x1: 0, x2: count, y1: zero, y2: zero }),
    ),
    h("div", { class: "row apart small quiet" }, h("span", {}, from(0)), h("span", {}, t("plot-now"))),
    h(
      "figcaption",
      { class: "legend small" },
      h("span", {}, h("i", { class: "download" }), t("plot-download", { amount: bytes(down) })),
      h("span", {}, h("i", { class: "upload" }), t("plot-upload", { amount: bytes(up) })),
      unknown > 0 && h("span", { class: "quiet" }, h("i", { class: "unknown" }), t("plot-since", { time: clock(usage.recording_since) })),
    ),
  );
}

function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}
