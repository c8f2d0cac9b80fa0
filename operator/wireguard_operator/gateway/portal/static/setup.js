// What to do on each kind of device. The one that the reader probably holds is open.

import { h, rich } from "./dom.js";
import { t } from "./text.js";

const APPS = {
  ios: "https://apps.apple.com/app/wireguard/id1441195209",
  android: "https://play.google.com/store/apps/details?id=com.wireguard.android",
  windows: "https://www.wireguard.com/install/",
  macos: "https://apps.apple.com/app/wireguard/id1451685025",
};
const PLATFORMS = ["ios", "android", "windows", "macos", "linux", "mikrotik"];

function guess() {
  const agent = navigator.userAgent;
  if (/iPhone|iPad/.test(agent)) return "ios";
  if (/Android/.test(agent)) return "android";
  if (/Windows/.test(agent)) return "windows";
  if (/Macintosh/.test(agent)) return navigator.maxTouchPoints > 1 ? "ios" : "macos";
  return "linux";
}

/** Instructions for each platform; without a code those that scan it are told to take the file. */
export function setup(hasCode) {
  const here = guess();
  return h(
    "div",
    {},
    PLATFORMS.map((name) => {
      const steps = [];
      for (let number = 1; ; number += 1) {
        const plain = t(`setup-${name}-${number}`);
        if (plain === `setup-${name}-${number}`) break;
        const instead = `setup-${name}-${number}-file`;
        steps.push(!hasCode && t(instead) !== instead ? t(instead) : plain);
      }
      return h(
        "details",
        { name: "platform", open: name === here },
        h("summary", {}, t(`platform-${name}`)),
        h(
          "ol",
          {},
          APPS[name] && h("li", {}, h("a", { href: APPS[name], rel: "noreferrer noopener", target: "_blank" }, t("get-app"))),
          steps.map((step) => h("li", {}, rich(step))),
        ),
      );
    }),
  );
}
